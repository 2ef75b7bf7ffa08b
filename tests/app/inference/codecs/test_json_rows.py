"""Rows of JSON: the quick way declines what the precise way refuses; problems in order."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import orjson
import pytest
from hypothesis import strategies as st

from app.errors import MAX_PROBLEMS, InvalidInput, Problem
from app.inference.codecs.json_rows import plain_rows, precise_rows, quick_rows
from app.inference.codecs.rows import converter_for
from tests.app.tables import schema_of
from tests.properties import examples

CONTRACT = schema_of(("left", "middle", "right"))

values: st.SearchStrategy[Any] = st.sampled_from([1, 2.5, -0.0, 2**70]) | st.sampled_from(
    [None, True, "1", [1], {}, 1e39, 10**400]
)
mixed = st.lists(st.lists(values, min_size=3, max_size=3) | st.lists(st.just(1), max_size=4), min_size=1, max_size=20)


def problems_by_row(instances: list[list[Any]]) -> list[Problem]:
    """Return all problems, row by row and value by value."""
    found = []
    for index, row in enumerate(instances):
        if len(row) != 3:
            got = "1 value" if len(row) == 1 else f"{len(row)} values"
            found.append(Problem(index, None, f"has {got}, 3 are expected"))
            continue
        alone = zip(CONTRACT.features, map(converter_for(CONTRACT).converters[0].cell, row), strict=True)
        found += [Problem(index, feature, problem) for feature, problem in alone if isinstance(problem, str)]
    return found


@examples(70)
@hypothesis.given(mixed)
def test_problems_are_the_first_by_row_and_then_by_feature(instances: list[list[Any]]) -> None:
    expected = problems_by_row(instances)
    quick = quick_rows(instances, CONTRACT)

    if expected:
        assert quick is None
        with pytest.raises(InvalidInput) as refused:
            precise_rows(instances, CONTRACT)
        assert refused.value.problems == tuple(expected[:MAX_PROBLEMS])
    else:
        assert quick is not None
        assert quick.tobytes() == precise_rows(instances, CONTRACT).tobytes()


@pytest.mark.parametrize("row", [0, 255, 256, 999])
def test_problem_is_found_in_whatever_block_it_is(row: int) -> None:
    instances: list[list[Any]] = [[1, 2, 3] for _ in range(1000)]
    instances[row][1] = None

    with pytest.raises(InvalidInput) as refused:
        precise_rows(instances, CONTRACT)

    assert refused.value.problems == (Problem(row, "middle", "must be a number, got null"),)


def test_names_may_come_in_any_order_and_rows_be_of_both_kinds() -> None:
    instances = [{"right": 3, "left": 1, "middle": 2}, [4, 5, 6], {" left ": 7, "middle": 8, "right": 9}]

    assert precise_rows(instances, CONTRACT).tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert quick_rows(instances, CONTRACT) is None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"[[1,2,3]",
        b"[[1,2]]",
        b"[[1,2,true]]",
        b'[[1,2,"3"]]',
        b"[1,2,3]",
        b'[{"left":1,"middle":2,"right":3,"right":3}]',
        b'[{"left":1,"middle":2,"other":3}]',
    ],
)
def test_text_that_is_unusual_in_any_way_is_declined(text: bytes) -> None:
    assert plain_rows(text, CONTRACT) is None


def test_plain_text_is_read_by_position_and_by_name() -> None:
    by_name = [dict(zip(CONTRACT.features, (1, 2, 3), strict=True)), {"right": 6, "middle": 5, "left": 4}]

    for instances in ([[1, 2, 3], [4, 5, 6]], by_name):
        x = plain_rows(orjson.dumps(instances), CONTRACT)
        assert x is not None
        assert x.dtype == np.float32
        assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
