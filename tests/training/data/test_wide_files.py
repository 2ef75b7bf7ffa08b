"""X5: time and memory of a file are linear in its cells, however wide or ragged."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstore.reading import MAX_COLUMNS
from training.data import pieces
from training.data.csv_blocks import CsvFile
from training.data.faults import Faults
from training.data.header import names_are_right
from training.data.inspection import inspect_file
from training.data.table import read_table
from training.errors import DatasetError

ROWS = 10
CELLS: dict[str, Callable[[int, int], str]] = {
    "numbers": lambda row, column: str((7 * column + row) % 10),
    "gaps": lambda row, column: "" if row == column % ROWS else f"{row}.5",
    "words": lambda row, column: "ab"[(row + column) % 2],
    "infinities": lambda row, column: "inf" if row == column % ROWS else str(row),
    "line feeds": lambda row, column: f'"{row}\n{column}"',
}


def write(path: Path, columns: int, cell: Callable[[int, int], str]) -> Path:
    lines = [",".join(f"c{column}" for column in range(columns))]
    lines += [",".join(cell(row, column) for column in range(columns)) for row in range(ROWS)]
    path.write_text("\n".join([*lines, ""]))
    return path


def read(path: Path) -> None:
    """Read a table for a training, as far as that goes."""
    with contextlib.suppress(DatasetError):
        read_table(path.parent, path.name, "c0")


@pytest.mark.slow
@pytest.mark.parametrize("take", [inspect_file, read], ids=["inspect", "read"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_x5_processor_time_is_linear_in_the_columns(
    tmp_path: Path, cell: Callable[[int, int], str], take: Callable[[Path], object]
) -> None:
    narrow, wide = (write(tmp_path / f"{columns}.csv", columns, cell) for columns in (500, 4000))
    take(narrow)  # imports and caches

    once = min(_seconds(take, narrow) for _ in range(3))  # others may slow one down
    limit_s = 32 * max(once, 0.03)  # 8 times if linear, 16 where the file becomes two blocks, 64 if quadratic
    assert any(_seconds(take, wide) < limit_s for _ in range(3)), limit_s


def _seconds(take: Callable[[Path], object], path: Path) -> float:
    began = time.process_time()
    take(path)
    return time.process_time() - began


class Counted(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


def test_x5_names_are_compared_with_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "comparisons", 0)

    assert names_are_right(tuple(Counted(f"c{number}") for number in range(MAX_COLUMNS)), 1, Faults())

    assert Counted.comparisons < 10 * MAX_COLUMNS


@pytest.mark.slow
def test_f11_more_columns_than_the_limit_are_one_fault_and_no_row_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.csv", MAX_COLUMNS + 1, lambda row, column: "nonsense")

    (fault,) = inspect_file(path).faults

    assert (fault.line, fault.problem) == (1, "expected at most 10000 columns, got 10001")
    with pytest.raises(DatasetError, match="expected at most 10000 columns, got 10001"):
        read_table(path.parent, path.name, "c0")


def test_x5_each_row_is_parsed_once_however_many_columns_want_to_show_a_cell() -> None:
    content = ("a,b,c\n" + "inf,nan,inf\n" * 2).encode()
    file = CsvFile(io.BytesIO(content))
    file.read_header()
    (block,) = file.blocks(())

    shown = [block.texts(position, [0, 1]) for position in range(3)]

    assert shown == [["inf", "inf"], ["nan", "nan"], ["inf", "inf"]]
    assert block._row(0) is block._row(0)


@pytest.mark.parametrize("size", [64, 100, 1000])
def test_x5_cells_with_line_feeds_at_the_end_of_every_block_make_no_block_large(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", size)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", size)
    rows = [[str(row), "\n".join("abcdefghi")] for row in range(500)]
    content = "x,y\n" + "".join(f'{x},"{y}"\n' for x, y in rows)
    file = CsvFile(io.BytesIO(content.encode()))
    file.read_header()

    found = list(file.blocks({0, 1}))

    assert not file.faults
    assert [cells for block in found for cells in block.cells.to_numpy().tolist()] == rows
    assert [line for block in found for line in block.lines.tolist()] == [2 + 9 * row for row in range(500)]
    assert (
        max(sum(map(len, block.rows)) for block in found) < 3 * size + 400
    )  # the last piece is joined to the one before


@pytest.mark.slow
def test_x5_a_row_that_does_not_end_is_a_fault_and_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(pieces, "MAX_LINE_BYTES", 1 << 14)
    content = io.BytesIO(b"x,y\n" + b'"1\n",' * (1 << 18))
    file = CsvFile(content)
    file.read_header()

    assert list(file.blocks(())) == []
    assert [fault.problem for fault in file.faults.sorted()] == ["a row of more than 0 MiB; is a quote not closed?"]
    assert content.tell() < 1 << 21
