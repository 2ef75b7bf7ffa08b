"""Cells of typed columns as float32, and the marks of their rows."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import numpy as np
import pytest

from training.data.columns import Column
from training.data.convert import Cells, extend
from training.data.csv_blocks import CsvFile
from training.data.faults import Faults

MISSING = frozenset({"", "NA"})


def converted(text: str, *columns: Column, faults: Faults | None = None) -> Cells:
    """Return the cells of a file; columns that are not plain numbers are read as text."""
    file = CsvFile(io.BytesIO(text.encode()))
    positions = {name: position for position, name in enumerate(file.read_header())}
    file.missing = MISSING
    names = [column.name for column in columns]
    cells = Cells(faults if faults is not None else Faults(), columns, names, positions, MISSING)
    as_text = {positions[one.name] for one in columns if one.type != "numeric" or one.reading != "plain"}
    for block in file.blocks(as_text):
        cells.add(block, len(text))
    return cells


@pytest.mark.parametrize(
    ("column", "cells", "x"),
    [
        (Column("a"), ["1", "", "-2.5"], [[1], [np.nan], [-2.5]]),
        (Column("a", reading="grouped_comma"), ['"1,234.5"', "NA", "7"], [[1234.5], [np.nan], [7]]),
        (Column("a", "categorical", texts=("x", "y")), ["y", " x ", "new", ""], [[1], [0], [2], [np.nan]]),
        (Column("a", "boolean", texts=("no", "yes")), ["yes", "no", "NA"], [[1], [0], [np.nan]]),
    ],
    ids=["numeric", "thousands", "categorical", "boolean"],
)
def test_cells_are_numbers_positions_of_texts_or_nan(column: Column, cells: list[str], x: list[list[float]]) -> None:
    values, lines, *_ = converted("a,b\n" + "".join(f"{cell},0\n" for cell in cells), column).result()

    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, x)
    assert lines.tolist() == list(range(2, 2 + len(x)))


@pytest.mark.parametrize("moment", [datetime(2024, 2, 29, 23, 59, 59), datetime(1900, 3, 1, 0, 0, 1)])
def test_a_date_is_days_and_seconds_that_are_exact_in_float32(moment: datetime) -> None:
    column = Column("a", "datetime")

    x, *_ = converted(f"a,b\n{moment.isoformat()},1\n,2\n", column, Column("b")).result()

    days, seconds = divmod(int(moment.replace(tzinfo=UTC).timestamp()), 86_400)
    np.testing.assert_array_equal(x, [[days, seconds, 1], [np.nan, np.nan, 2]])


@pytest.mark.parametrize(
    ("column", "cell", "problem"),
    [
        (Column("a"), "Ulm", "expected a finite number"),
        (Column("a"), "1e39", "expected a finite number"),
        (Column("a", reading="grouped_comma"), "1e5", "thousands separators (1,234.5), got '1e5'"),
        (Column("a", "boolean", texts=("no", "yes")), "perhaps", "expected one of 'no', 'yes', got 'perhaps'"),
        (Column("a", "datetime", format="%d/%m/%Y"), "12/13/2020", "written as day/month/year, got '12/13/2020'"),
    ],
    ids=["word", "too large", "other writing", "no truth", "no such day"],
)
def test_a_cell_that_is_not_of_its_type_is_a_fault_by_line_and_column(column: Column, cell: str, problem: str) -> None:
    faults = Faults()

    converted(f"a,b\n,1\n{cell},2\n", column, Column("b"), faults=faults)

    (fault,) = faults.sorted()
    assert (fault.line, fault.column) == (3, "a")
    assert problem in fault.problem


def test_marks_are_equal_for_rows_with_equal_values_however_they_are_written() -> None:
    columns = Column("a"), Column("c", "categorical", texts=("x",))
    _, _, marks, _ = converted("a,c\n1,x\n1.0, x\n2,x\n1,y\n,x\nNA,x\n", *columns).result()

    assert marks[0] == marks[1]
    assert marks[4] == marks[5]
    assert len(set(marks.tolist())) == 4


def test_values_that_become_equal_in_float32_are_named() -> None:
    ((name, problem),) = converted("a,b\n16777216,1\n16777217,2\n", Column("a"), Column("b")).problems()

    assert name == "a"
    assert "16777216 and 16777217" in problem


def test_extended_rows_keep_what_they_hold() -> None:
    longer = extend(np.array([[1.0, 2.0]]), 3)

    assert (longer.shape, longer[0].tolist()) == ((3, 2), [1.0, 2.0])
    assert extend(longer, 1).tolist() == [[1.0, 2.0]]
