"""Lines that pandas reads."""

from __future__ import annotations

import pytest

from training.data.csv_quick import read_quickly
from training.data.dialect import Syntax


def test_cells_are_numbers_but_for_columns_of_text() -> None:
    cells = read_quickly(b"01,01\n1,2\n", 2, (2, 2), Syntax(), ".", as_text={1}, missing=())

    assert cells is not None
    assert cells.to_numpy().tolist() == [[1, "01"], [1, "2"]]


@pytest.mark.parametrize(
    "raw", [b"1,2\n\n", b"1,2,3\n", b'"1"\n', b'1,"2\n3"\n'], ids=["blank", "long", "short", "two"]
)
def test_lines_that_are_not_rows_of_this_length_are_refused(raw: bytes) -> None:
    assert read_quickly(raw, raw.count(b"\n"), (2, 2), Syntax(), ".", as_text=(), missing=()) is None
