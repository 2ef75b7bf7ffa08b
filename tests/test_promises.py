"""Every promise of docs/operations.md is measured by a test, and everything that a test measures is promised there."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.promises import ID, MACHINE, PAGE, ROW, Texts, fill, machine, table, write

PROJECT = PAGE.parents[1]
TABLE = PAGE.read_text().partition("\n## Promises\n")[2].partition("\n## ")[0]


def measured_by(file: Path) -> Iterator[str]:
    """Yield the ids that a file of tests measures."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "measured":
            assert isinstance(node.args[0], ast.Constant), f"{file}:{node.lineno}: the id is written out"
            yield str(node.args[0].value)


@pytest.fixture(scope="module")
def files() -> dict[Path, set[str]]:
    """Return the files of tests that measure something, and the ids."""
    found = {file: set(measured_by(file)) for file in (PROJECT / "tests").rglob("test_*.py") if file != Path(__file__)}
    return {file: ids for file, ids in found.items() if ids}


def test_promises_and_what_tests_measure_are_the_same(files: dict[Path, set[str]]) -> None:
    promised = [promise for row in ROW.finditer(TABLE) for promise in ID.findall(row["ids"])]

    assert len(promised) == len(set(promised))
    assert set(promised) == set().union(*files.values())


def test_every_line_of_the_table_can_be_filled() -> None:
    rows = [line for line in TABLE.splitlines() if re.match(r"\| \w.* \| .*\d", line)]

    assert len(rows) == len(ROW.findall(TABLE)) > 20
    assert len(MACHINE.findall(TABLE)) == 1


def test_the_fault_suite_runs_whatever_measures(files: dict[Path, set[str]]) -> None:
    listed = re.search(r'^faults="([^"]*)"$', (PROJECT / "scripts" / "faults").read_text(), re.MULTILINE)
    assert listed
    places = [PROJECT / place for place in listed[1].split()]

    assert [str(file) for file in files if not any(file.is_relative_to(place) for place in places)] == []


TEXTS: Texts = {"F-13": {"a": "20 stops", "b": "5 more"}, "F-14": {"c": "20 stops"}, "S-08": {"d": "12 | 12"}}
ROWS = "| Stops. | F-13, F-14 | old |\n| Artifacts. | S-08 | none |\n| Soak. | F-30 | old |\nMeasured on a day.\n"


def test_figures_are_put_into_the_last_column_and_others_stay() -> None:
    assert fill(ROWS, TEXTS, "another day") == (
        "| Stops. | F-13, F-14 | 20 stops; 5 more |\n| Artifacts. | S-08 | 12 / 12 |\n"
        "| Soak. | F-30 | old |\nMeasured on another day.\n"
    )


def test_table_is_sorted_by_id() -> None:
    assert table({"S-08": {"d": "12"}, **TEXTS, "M-01": {}}) == [
        "F-13  20 stops; 5 more",
        "F-14  20 stops",
        "S-08  12 | 12",
    ]


def test_file_keeps_what_other_tests_measured(tmp_path: Path) -> None:
    file = tmp_path / "made" / "measured.json"
    write(file, TEXTS)
    write(file, {"F-13": {"b": "6 more"}})

    assert json.loads(file.read_text()) == {**TEXTS, "F-13": {"a": "20 stops", "b": "6 more"}}


@pytest.mark.parametrize(("form", "words"), [("long", "the long form"), ("", "the form that CI runs")])
def test_machine_says_which_form_was_run(form: str, words: str) -> None:
    said = machine(datetime(2026, 11, 21, tzinfo=UTC), {"TABSERVE_FAULTS": form})

    assert re.fullmatch(rf"2026-11-21 with \d+ processor cores, {words}", said)
