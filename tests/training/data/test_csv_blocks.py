from __future__ import annotations

import csv
import hashlib
import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstore import Dialect
from tests.properties import examples
from training.data import pieces
from training.data.cells import number
from training.data.csv_blocks import CsvFile
from training.data.faults import MAX_FAULTS

PLAIN = Dialect(
    delimiter=",", quote='"', decimal=".", header=True, skip_rows=0, skip_below=0, skip_footer=0, comment=""
)
CELL = st.one_of(
    st.integers(-99, 99).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        ["", " ", "a", "nan", "inf", "1e400", "01", "1_0", "True", "ä", "x,y", "two\nlines", 'a "quote"', "two\r\nmore"]
    ),
)


def read(content: bytes, as_text: tuple[int, ...] = ()) -> tuple[list[list[object]], list[int], CsvFile]:
    """Return rows, their lines, and the file with its faults."""
    file = CsvFile(io.BytesIO(content), PLAIN)
    rows: list[list[object]] = []
    lines: list[int] = []
    for block in file.blocks(as_text) if file.read_header() else ():
        for position in set(range(len(file.header))) - set(as_text):
            block.cells[position] = as_numbers(block.cells[position])
        rows += block.cells.to_numpy(dtype=object).tolist()
        lines += block.lines.tolist()
    return rows, lines, file


def as_numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers if every cell is one; what is read exactly stays text."""
    try:
        return column if pd.api.types.is_numeric_dtype(column) else pd.Series([number(cell) for cell in column])
    except ValueError:
        return column


def written(rows: list[list[str]], line_end: str) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator=line_end).writerows(rows)
    return stream.getvalue().encode()


@pytest.mark.slow
@examples(50)
@given(rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12), line_end=st.sampled_from(["\n", "\r\n"]))
def test_quick_and_exact_reading_give_what_the_csv_module_gives(rows: list[list[str]], line_end: str) -> None:
    content = written([["a", "b", "c"], *rows], line_end)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "FIRST_BYTES", 16)
        patch.setattr(pieces, "BLOCK_BYTES", 16)
        texts, lines, file = read(content, (0, 1, 2))
    whole, same_lines, _ = read(content, (0, 1, 2))

    assert texts == whole == rows
    assert not file.faults
    reader = csv.reader(io.StringIO(content.decode(), newline=""))
    ends = [reader.line_num for _ in reader]
    assert lines == same_lines == [end + 1 for end, _ in pairwise(ends)]
    assert file.sha256() == hashlib.sha256(content).hexdigest()


@pytest.mark.slow
@examples(100)
@given(cells=st.lists(CELL.filter(lambda cell: cell.isprintable() and '"' not in cell), min_size=1, max_size=5))
def test_a_column_is_numeric_only_if_every_cell_is_a_number_and_then_to_the_last_bit(cells: list[str]) -> None:
    content = written([["a", "b"], *([cell, "x"] for cell in cells)], "\n")

    rows, _, _ = read(content)

    try:
        expected: list[object] = [number(cell) for cell in cells]
    except ValueError:
        assert [str(row[0]) for row in rows] == cells
        return
    # `1e400` is read as text or as infinity, which tables treats alike
    np.testing.assert_array_equal([float(row[0]) for row in rows], expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "rows", "lines"),
    [
        (b"a,b\n1,2\n3,4", [[1, 2], [3, 4]], [2, 3]),
        (b"\xef\xbb\xbfa,b\n1,2\n", [[1, 2]], [2]),
        (b"a,b\r\n1,2\r\n3,4\r\n", [[1, 2], [3, 4]], [2, 3]),
        (b"a,b\r1,2\r3,4\r", [[1, 2], [3, 4]], [2, 3]),
        (b"\n\na,b\n\n1,2\n  \n\n3,4\n\n", [[1, 2], [3, 4]], [5, 8]),
        (b'a,b\n1,"x\ny"\n3,"4"\n', [[1, "x\ny"], [3, "4"]], [2, 4]),
        (b'"a\nb",c\n1,2\n', [[1, 2]], [3]),
        (b'a,b\n"1","2"\n', [[1, 2]], [2]),
        (b"a,b\n 1,2 \n", [[1, 2]], [2]),
    ],
    ids=[
        "no line feed at the end",
        "BOM",
        "CRLF",
        "CR",
        "blank lines",
        "quoted line feed",
        "in a name",
        "quotes",
        "spaces",
    ],
)
def test_rows_have_the_line_that_an_editor_shows(content: bytes, rows: list[list[object]], lines: list[int]) -> None:
    found, at, file = read(content)

    assert (found, at) == (rows, lines)
    assert not file.faults


@pytest.mark.parametrize("size", [1, 7, 16, 1 << 18])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("columns", [1, 2])
def test_f10_blank_lines_are_passed_over_and_counted(
    columns: int, end: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", max(size, 32))
    monkeypatch.setattr(pieces, "BLOCK_BYTES", size)
    header, row = ("a", "1") if columns == 1 else ("a,b", "1,2")
    content = end.join(["", header, " \t", row, "", "", row, "  ", row, ""]).encode()

    rows, lines, file = read(content)

    assert (rows, lines) == ([[1, 2][:columns]] * 3, [4, 7, 9])
    assert (file.blank_lines, bool(file.faults)) == (5, False)


@pytest.mark.parametrize("line", ['""', "\u00a0"], ids=["an empty text", "a blank that is no space"])
def test_f10_what_is_no_blank_line_is_a_row(line: str) -> None:
    rows, _, file = read(f"a,b\n1,2\n{line}\n".encode())

    assert rows == [[1, 2]]
    assert [fault.line for fault in file.faults.sorted()] == [3]


def test_one_irregular_block_costs_no_exactness_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", 64)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 64)
    body = [f"{row},{row}\n" for row in range(200)]
    body[50] = '7,"a\n\n\nb"\n'
    body[120] = "\n\n8,8\n"

    rows, lines, _ = read(("x,y\n" + "".join(body)).encode())

    assert len(rows) == 200
    assert (lines[49], lines[50], lines[51]) == (51, 52, 56)
    assert (lines[119], lines[120], lines[199]) == (124, 127, 206)
    assert rows[50] == [7, "a\n\n\nb"]


def test_reading_stops_at_ten_faults_however_long_the_file() -> None:
    _, _, file = read(b"a,b\n" + b"1\n" * 1000)

    assert [fault.line for fault in file.faults.sorted()] == list(range(2, 2 + MAX_FAULTS))


def test_a_quote_that_is_never_closed_does_not_swallow_a_large_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", 1 << 18)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 1 << 18)
    content = io.BytesIO(b'a,b\n1,"2\n' + b"3,4\n" * 1_000_000)
    file = CsvFile(content)
    file.read_header()

    assert list(file.blocks(())) == []
    (fault,) = file.faults.sorted()
    assert (fault.line, "quote not closed" in fault.problem) == (2, True)
    assert content.tell() < 1_000_000


@pytest.mark.parametrize("above", ["", "title\n", "title\n\n\n"])
def test_every_row_below_skipped_lines_is_kept_where_there_is_no_header(above: str) -> None:
    skipped = above.count("\n")
    file = CsvFile(io.BytesIO(f"{above}1,2\n3,4\n5,6\n".encode()), Dialect(header=False, skip_rows=skipped))

    assert file.read_header() == ("c1", "c2")
    (block,) = file.blocks(())
    assert block.lines.tolist() == [skipped + 1, skipped + 2, skipped + 3]
