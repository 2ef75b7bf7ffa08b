"""Damaged files: faults by line and column, or a table, but never a traceback."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.properties import examples
from training.config.default_recipe import recipe_for_data
from training.data.churn import TARGET, churn_csv
from training.data.inspection import inspect_file
from training.data.splits import load_splits
from training.errors import DatasetError

WHOLE = churn_csv(60)
PIECES = (
    b'"',
    b"'",
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b"\r\n",
    b"\x00",
    b"\xff",
    b"\xfe\xff",
    b"\x1f\x8b",
    b"\\",
    b"NA",
)
TRACES = re.compile(r"Traceback|File \"|\.py\b|Error\b")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed") / "churn.csv"


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a good file with a few pieces put in, cut out, or repeated."""
    content = WHOLE
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        until = min(len(content), place + draw(st.integers(0, 40)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=6) | st.just(content[place:until] * 2))
        content = content[:place] + piece + content[until:]
    return content if draw(st.booleans()) else content[: draw(st.integers(0, len(content)))]


def check(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    inspection = inspect_file(path)
    said = [fault.problem for fault in inspection.faults]
    lines = [fault.line for fault in inspection.faults if fault.line is not None]
    try:
        recipe = recipe_for_data(path, TARGET)
        load_splits(recipe.data, path.parent, recipe.training)
    except DatasetError as error:
        said += [fault.problem for fault in error.faults]
        lines += [fault.line for fault in error.faults if fault.line is not None]
    longest = 1 + max(content.count(b"\n"), content.count(b"\r")) + content.count(b"\r")
    assert all(said)
    assert not any(TRACES.search(problem) for problem in said), said
    assert all(1 <= line <= longest for line in lines), (lines, longest)


@examples(50)
@given(content=damaged())
def test_damaged_file_is_read_or_refused_by_line(path: Path, content: bytes) -> None:
    check(path, content)


@examples(35)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(path: Path, content: bytes) -> None:
    check(path, content)
