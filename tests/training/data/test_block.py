"""Rows of a block: their cells, as numbers and as they stand in the file."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from training.data.block import Block
from training.data.csv_blocks import CsvFile


def test_cells_are_shown_as_they_stand() -> None:
    file = CsvFile(io.BytesIO(b'a,b\n1.50,"1,5"\n'))
    file.read_header()
    (block,) = file.blocks(())

    assert [block.texts(position, [0]) for position in range(2)] == [["1.50"], ["1,5"]]


def test_text_that_is_asked_for_keeps_leading_zeros() -> None:
    file = CsvFile(io.BytesIO(b"a,b\n01,1.50\n1,1.5\n"))
    file.read_header()
    (block,) = file.blocks({0, 1})

    assert [block.encode(position)[1] for position in range(2)] == [["01", "1"], ["1.50", "1.5"]]
    assert block.cells.to_numpy().tolist() == [["01", "1.50"], ["1", "1.5"]]


def test_a_text_column_is_codes_of_its_stripped_texts_by_first_row_and_gaps_have_none() -> None:
    block = Block(pd.DataFrame({0: ["b", " b", "NA", "a", np.nan]}, dtype=object), np.arange(5), b"")

    codes, different = block.encode(0, {"NA"})

    assert (codes.tolist(), different) == ([0, 0, -1, 1, -1], ["b", "a"])


@pytest.mark.parametrize(
    ("lines", "padded"),
    [
        ("1,20,300\n0,10,205\n", []),
        ("0.5,1,100\n-0.25,2,300\n", []),
        ("007,1,2\n8,1,2\n", [0]),
        ("1,2,3\n1,2,00", [2]),
        ("1, 05,3\n1,6,07\n", [1, 2]),
        ('1,"05",3\n1,"6",7\n', [1]),
        ('1,",00,01",3\n1,"06",7\n', [1]),
        ('"a ""00,"" b",02,3\n"c",1,7\n', [1]),
        ("1,2,03\r\n1,2,3\r\n", [2]),
        ("1,2,3\n\n1,2,03\n", [2]),
    ],
    ids=[
        "plain",
        "decimals",
        "first",
        "last",
        "blanks",
        "quoted",
        "in quotes",
        "quotes in quotes",
        "CRLF",
        "blank line",
    ],
)
def test_columns_with_a_padded_cell_are_found(lines: str, padded: list[int]) -> None:
    file = CsvFile(io.BytesIO(f"a,b,c\n{lines}".encode()))
    file.read_header()
    (block,) = file.blocks(())

    assert [position for position in range(3) if block.has_padding(position)] == padded


def test_a_padded_cell_beside_a_number_beyond_64_bits_is_found() -> None:
    file = CsvFile(io.BytesIO(b"a,b\n123456789012345678901,123456789012345678902\n00123,7\n"))
    file.read_header()
    (block,) = file.blocks(())

    assert [block.has_padding(position) for position in (0, 1)] == [True, False]


def test_row_of_more_than_one_line_is_shown_whole() -> None:
    block = Block(pd.DataFrame({0: [1.0], 1: ["a\nb"]}), np.array([2]), [b'1.0,"a\nb"'])

    assert (len(block), block.texts(0, [0]), block.texts(1, [0])) == (1, ["1.0"], ["a\nb"])


def test_size_is_that_in_the_file_whether_rows_are_lines_or_not() -> None:
    lines, quoted = b"1,2\n3,4\n", b'1,"a\nb"\n'
    sizes = []
    for text in (lines, quoted):
        file = CsvFile(io.BytesIO(b"a,b\n" + text))
        file.read_header()
        (block,) = file.blocks({0, 1})
        sizes.append(block.size_bytes)

    assert sizes == [len(lines), len(quoted)]
