"""Each promise of docs/operations.md has its measuring test, and each figure its promise."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.promises import (
    ID,
    ID_HEAD,
    ID_ROW,
    MACHINE,
    PAGE,
    PROJECT,
    PROOFS,
    ROW,
    Texts,
    fill,
    find_tests,
    machine,
    measured_by,
    parse,
    proofs,
    table,
    write,
)

TABLE = PAGE.read_text().partition("\n## Promises\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def files() -> dict[Path, set[str]]:
    """Return the files of tests that measure something, and the ids."""
    files = (file for file in (PROJECT / "tests").rglob("test_*.py") if "measured(" in file.read_text())
    return {file: ids for file in files if (ids := set(measured_by(parse(file))))}


def test_promises_and_what_tests_measure_are_the_same(files: dict[Path, set[str]]) -> None:
    promised = [promise for row in ROW.finditer(TABLE) for promise in ID.findall(row["ids"])]

    assert len(promised) == len(set(promised))
    assert set(promised) == set().union(*files.values())


def test_every_line_of_the_table_can_be_filled() -> None:
    rows = [line for line in TABLE.splitlines() if re.match(r"\| \w.* \| .*\d", line)]

    assert len(rows) == len(ROW.findall(TABLE)) > 20
    assert len(MACHINE.findall(TABLE)) == 1


def test_the_fault_suite_runs_whatever_measures(files: dict[Path, set[str]]) -> None:
    lines = re.findall(r"^    (tests/.*) \\$", (PROJECT / "scripts" / "faults").read_text(), re.MULTILINE)
    places = [PROJECT / place for line in lines for place in line.split()]

    assert all(place.exists() for place in places)
    assert [str(file) for file in files if not any(file.is_relative_to(place) for place in places)] == []


def test_each_promise_with_an_id_names_the_tests_that_measure_it() -> None:
    written = "".join(row[0] for row in ID_ROW.finditer(PROOFS.read_text()))

    assert written == proofs(), "run python -m tests.promises"
    assert ID_HEAD + written in PROOFS.read_text()


def test_quick_promises_are_held_by_tests_of_the_default_suite() -> None:
    named = re.findall(r"`(tests/[^`]*::[^`]*)`", ID_ROW.sub("", PROOFS.read_text()).partition("## With an id")[0])
    files = {name: find_tests(PROJECT / name.partition("::")[0]) for name in named}
    sources = [(PROJECT / name.partition("::")[0]).read_text() for name in named]

    assert len(named) == len(set(named)) > 20
    assert [name for name, tests in files.items() if name not in tests] == []
    assert [name for name, tests in files.items() if any(map(is_slow, tests[name].decorator_list))] == []
    assert not any(re.search(r"^pytestmark\b.*\b(slow|alone)\b", source, re.MULTILINE) for source in sources)


def test_each_promise_names_a_section_that_exists() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| (?:\[?([\w-]+\.md)\]?(?:\([\w.-]+\))?, ([^|]+)) \|", PROOFS.read_text(), re.MULTILINE
    )

    assert len(rows) > 100
    headings = {page: re.findall(r"^#+ (.+)$", (PROOFS.parent / page).read_text(), re.MULTILINE) for page, _ in rows}
    assert [(page, section) for page, section in rows if section not in headings[page]] == []


def is_slow(decorator: ast.expr) -> bool:
    return ast.unparse(decorator) in ("pytest.mark.slow", "pytest.mark.alone")


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
