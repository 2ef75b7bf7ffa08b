"""Rows of feedback stand below those of the file, with the types of its columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelstore import DataOptions, Feedback, FeedbackRow, Split
from training.config.recipe import DataSource
from training.data.feedback import append_feedback
from training.data.splits import load_splits
from training.data.table import Table, read_table
from training.errors import DatasetError

HEADER = "age,plan,paid,day,gone\n"
LINES = ("20.5,basic,no,2024-01-31,yes\n", "31.25,plus,yes,2024-02-29,no\n", ",basic,yes,,no\n")


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "mine.csv").write_text(HEADER + "".join(LINES * 5))
    return read_table(tmp_path, "mine.csv", "gone", options=DataOptions(types={"day": "datetime"}))


def row(label: str = "yes", version: int = 1, **values: Any) -> FeedbackRow:
    known = {"age": 20.5, "plan": "basic", "paid": False, "day": "2024-01-31T00:00:00", **values}
    return FeedbackRow(version=version, time_s=86_400, values=known, label=label)


def test_rows_have_the_cells_of_equal_rows_of_the_file(table: Table) -> None:
    second = row("no", 2, age=31.25, plan="plus", paid=True, day="2024-02-29T00:00:00")
    third = row("maybe", 1, age=None, plan="gold", paid=True, day=None)

    longer, summary = append_feedback(table, Feedback(rows=(row(), second, third), left_out=4))

    assert np.array_equal(longer.x[:15], table.x, equal_nan=True)
    assert np.array_equal(longer.x[15:17], table.x[:2])
    plan = [column.name for column in table.columns].index("plan")
    expected = table.x[2].copy()
    expected[plan] = 2  # a text that the file does not have
    assert np.array_equal(longer.x[17], expected, equal_nan=True)
    assert [longer.target.values[code] for code in longer.target.codes[15:]] == ["yes", "no", "maybe"]
    assert (longer.lines[15:].tolist(), longer.sha256) == ([-1, -2, -3], table.sha256)
    assert (summary.rows, summary.versions, summary.left_out) == (3, (1, 2), 4)


def test_equal_rows_have_equal_marks_so_that_they_are_held_out_together(tmp_path: Path) -> None:
    lines = "20.1,basic,no,31.01.2024,CA,0.1\n31.25,,yes,,CA,2\n" + "1,b,no,25.02.2024,CA,3\n1,b,no,1.3.2024,CA,4\n" * 4
    (tmp_path / "mine.csv").write_text("age,plan,paid,day,country,n\n" + lines)
    table = read_table(tmp_path, "mine.csv", "n")
    assert [column.name for column in table.columns] == ["age", "plan", "paid", "day"]  # the country is constant
    rows: list[dict[str, Any]] = [
        {"age": 20.1, "plan": "basic", "paid": False, "day": "2024-01-31T00:00:00"},
        {"age": 31.25, "plan": None, "paid": True, "day": None},
        {"age": 31.25, "plan": None, "paid": True, "day": "2024-01-31T00:00:00"},
    ]

    given = tuple(FeedbackRow(version=1, time_s=0, values=values, label="5.0") for values in rows)
    longer, _ = append_feedback(table, Feedback(rows=given))

    assert longer.marks[10:12].tolist() == table.marks[:2].tolist()
    assert longer.marks[12] not in table.marks
    assert longer.target.numbers is not None
    assert longer.target.numbers[9:].tolist() == [4.0, 5.0, 5.0, 5.0]


@pytest.mark.parametrize(("header", "line"), [("a;b", "{};{},5"), ("a,b", "{},€{}.50")])
def test_equal_rows_have_equal_marks_however_the_file_writes_its_quantity(
    header: str, line: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").write_text("\n".join([header, *(line.format(n * n, n) for n in range(40))]) + "\n")
    source = DataSource(file="mine.csv", target="b", test_fraction=0.25, task="regression")
    given = FeedbackRow(version=1, time_s=0, values={"a": 49.0}, label=repr(7.5))

    splits = load_splits(source, tmp_path, feedback=Feedback(rows=(given,)))

    lines, found = (np.append(getattr(splits.train, name), getattr(splits.test, name)) for name in ("lines", "marks"))
    marks = dict(zip(lines.tolist(), found.tolist(), strict=True))
    assert marks[-1] == marks[9]
    assert len(set(marks.values())) == 40


def test_rows_without_a_column_are_left_out_and_counted(table: Table) -> None:
    short = FeedbackRow(version=1, time_s=0, values={"age": 1.0}, label="yes")

    longer, summary = append_feedback(table, Feedback(rows=(short, row(other=3.0), short)))

    assert (len(longer.x), summary.rows, summary.left_out) == (16, 1, 2)
    with pytest.raises(DatasetError, match="rows of feedback with all columns; they lack 'day', 'paid', 'plan'"):
        append_feedback(table, Feedback(rows=(short,)))
    with pytest.raises(DatasetError, match="all columns, got no row"):
        append_feedback(table, Feedback(rows=()))


@pytest.mark.parametrize(
    "values", [{"age": "secret"}, {"age": True}, {"plan": 4.5}, {"paid": "yes"}, {"day": 3.0}, {"day": "secret"}]
)
def test_values_of_another_type_than_the_column_are_refused_without_repeating_them(
    values: dict[str, Any], table: Table
) -> None:
    with pytest.raises(DatasetError, match="rows of version 7 have another type: say the column's type") as refused:
        append_feedback(table, Feedback(rows=(row(), row(version=7, **values))))

    assert f"column '{next(iter(values))}'" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_rows_are_split_with_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b\n" + "".join(f"{n * n},{'xy'[n % 2]}\n" for n in range(40)))
    source = DataSource(file="mine.csv", target="b", test_fraction=0.25, assign="hash")
    rows = tuple(FeedbackRow(version=1, time_s=0, values={"a": n + 0.5}, label="xy"[n % 2]) for n in range(40))

    splits = load_splits(source, tmp_path, feedback=Feedback(rows=rows))

    assert len(splits.train) + len(splits.test) == 80
    assert all((part.lines < 0).any() for part in (splits.train, splits.test))
    assert sorted([*splits.train.lines, *splits.test.lines]) == [*range(-40, 0), *range(2, 42)]
    assert splits.feedback is not None
    assert splits.feedback.rows == 40
    assert load_splits(source, tmp_path).feedback is None


def test_rows_are_on_the_side_of_the_group_that_has_their_number(tmp_path: Path) -> None:
    ids = [1_700_000_000 + 1000 * (n // 4) for n in range(200)]
    (tmp_path / "mine.csv").write_text(
        "who,a,b\n" + "".join(f"{who},{n % 7},{'xy'[n % 2]}\n" for n, who in enumerate(ids))
    )
    source = DataSource(file="mine.csv", target="b", test_fraction=0.25, split=Split(group="who"))
    known = [float(np.float32(who)) for who in ids[::4]]  # as a service keeps them
    rows = tuple(FeedbackRow(version=1, time_s=0, values={"who": who, "a": 0.5}, label="x") for who in known)

    splits = load_splits(source, tmp_path, feedback=Feedback(rows=rows))

    sides = [set(part.x[:, 0].tolist()) for part in (splits.train, splits.test)]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert len(np.unique(splits.train.together)) == len(sides[0])


def test_a_label_that_does_not_fit_is_not_said_to_be_in_a_line_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b\n" + "".join(f"{n * n},{n / 4}\n" for n in range(40)))
    source = DataSource(file="mine.csv", target="b", test_fraction=0.25, task="regression")
    rows = (FeedbackRow(version=1, time_s=0, values={"a": 1.5}, label="many"),)

    with pytest.raises(DatasetError, match=r"^mine.csv, column 'b': a regression .* in a row of feedback$") as refused:
        load_splits(source, tmp_path, feedback=Feedback(rows=rows))
    assert refused.value.faults[0].line is None
