"""Broken data sets: refused with the right reason and place, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelstore import JobResult, ModelRepository
from tests.training.samples import ignore
from training.config.default_recipe import recipe_for_data
from training.config.run import TrainingRun
from training.pipeline import train

HEADER = "width,height,kind"
ROWS = [f"{row}.5,{row * row % 17},{'ab'[row % 2]}" for row in range(60)]


def table(*rows: str, header: str = HEADER) -> str:
    """Return a good file in which these rows stand at the lines 4, 5 and so on."""
    return "\n".join([header, *ROWS[:2], *rows, *ROWS[2:]]) + "\n"


@dataclass(frozen=True)
class Broken:
    name: str
    content: str | bytes
    problem: str
    place: tuple[int | None, str | None] = (None, None)
    target: str = "kind"
    features: tuple[str, ...] = field(default=())


CASES = [
    Broken("empty file", "", "the file is empty"),
    Broken("only blank lines", "\n\n  \n", "the file is empty"),
    Broken("header only", f"{HEADER}\n", "expected data rows below the header"),
    Broken("header and blank lines", f"{HEADER}\n\n\n", "expected data rows below the header"),
    Broken("a name twice", table(header="width,width,kind"), "this one twice", (1, "width")),
    Broken("F5: two names but for blanks", table(header="width,width ,kind"), "columns 1 and 2", (1, "width")),
    Broken("F5: two names but for accents", table(header="\u00e2,a\u0302,kind"), "columns 1 and 2", (1, "\u00e2")),
    Broken("line ends that curl -d took", table().replace("\n", ""), "`curl -d` takes the line ends", (1, None)),
    Broken("a name too long", table(header=f"{'w' * 201},height,kind"), "1 to 200 characters", (1, None)),
    Broken("header one short", table(header="width,kind"), "expected 2 cells as in the header, got 3", (2, None)),
    Broken("header one long", table(header=f"{HEADER},more"), "expected 4 cells as in the header, got 3", (2, None)),
    Broken("a short row", table("1,2"), "expected 3 cells as in the header, got 2", (4, None)),
    Broken("a long row", table("1,2,a,9"), "expected 3 cells as in the header, got 4", (4, None)),
    Broken("one short, one long", table("1,a", "1,2,3,a"), "expected 3 cells as in the header, got 2", (4, None)),
    Broken("a short row after quoted line feeds", table('1,2,"a\n\n"', "1,2"), "got 2", (7, None)),
    Broken("a short row after blank lines", table("", "", "1,2"), "got 2", (6, None)),
    Broken("a NUL byte", table("1\0,2,a"), "NUL byte", (4, None)),
    Broken("a PDF", b"%PDF-1.7\n", "is a PDF document"),
    Broken("an archive", b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it"),
    Broken("a database", b"SQLite format 3\0", "is an SQLite database; export the table as CSV"),
    Broken("a picture", b"\x89PNG\r\n\x1a\n\0\0", "is a PNG picture"),
    Broken("no names", table(header=",,"), "expected this column", (None, "kind")),
    Broken("one endless line", "1" * (17 << 20), "a cell of more than 131072 characters"),
    Broken("a page", "<!DOCTYPE html>\n<html><body>404</body></html>\n", "is a page in HTML", (1, None)),
    Broken("JSON", '[{"width": 1, "kind": "a"}]\n', "is JSON, not a table", (1, None)),
    Broken("an unclosed quote", table('1,2,"a'), "quote is not closed", (4, None)),
    Broken("an unclosed quote in the header", '"width,kind\n1,a\n', "quote is not closed", (1, None)),
    Broken("decimal commas", table("1,5,2,a"), "a number needs a decimal point", (4, None)),
    Broken("infinity", table("1,-inf,a"), "finite number (at most 3.4e+38), got '-inf'", (4, "height")),
    Broken("beyond float32", table("1,1e39,a"), "finite number (at most 3.4e+38), got '1e39'", (4, "height")),
    Broken("beyond float64", table("1,1e999,a"), "finite number (at most 3.4e+38), got '1e999'", (4, "height")),
    Broken("no such target", table(), "expected this column, got 'width', 'height'", (None, "species"), "species"),
    Broken("no such feature", table(), "expected this column", (None, "depth"), features=("width", "depth")),
    Broken("nothing but the target", "kind\n" + "a\nb\n" * 20, "at least one feature column beside the target"),
    Broken("one class", table().replace(",b", ",a"), "at least two classes, got only 'a'", (None, "kind")),
    Broken("rare classes only", table("1,2,c").replace(",b", ",a"), "do not count: 'c' (1)", (None, "kind")),
    Broken("four rows", "\n".join([HEADER, *ROWS[:4]]), "at least 5 rows, got 4"),
    Broken(
        "a class for each two rows",
        "\n".join(["width,kind", *(f"{row % 7},kind {row // 5}" for row in range(600))]),
        "at most 100 classes, got 120",
        (None, "kind"),
    ),
    Broken(
        "a class as long as a novel", table().replace(",b", f",{'b' * 201}"), "at most 200 characters", (None, "kind")
    ),
    Broken(
        "only constant columns",
        "\n".join(["width,kind", *(f"7,{'ab'[row % 2]}" for row in range(40))]),
        "expected at least one column to learn from: 'width' has the same value in all 40 rows",
    ),
]


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[Broken], JobResult]:
    """Return what trains on a file as `fit --data` does, and gives the last event."""

    def run(case: Broken) -> JobResult:
        path = tmp_path / "mine.csv"
        path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
        recipe = recipe_for_data(path, case.target, features=case.features)
        return train(TrainingRun(recipe, tmp_path, ModelRepository(tmp_path / "models")), ignore)

    return run


def test_there_are_at_least_forty() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_is_refused_with_reason_and_place_and_nothing_is_published(
    case: Broken, attempt: Callable[[Broken], JobResult], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = attempt(case)

    line, column = case.place
    places = [f"line {line}" if line else "", f"column {column!r}" if column else ""]
    assert result.reason == "bad_data"
    assert result.detail.startswith(", ".join(filter(None, ["mine.csv", *places])) + ": ")
    assert case.problem in result.detail
    assert ModelRepository(tmp_path / "models").names() == ()
    assert not caplog.records  # no traceback
