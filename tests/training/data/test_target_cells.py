"""The target's cells, collected over blocks."""

from __future__ import annotations

import io

import numpy as np
import pytest

from training.data.columns import TargetColumn
from training.data.csv_blocks import CsvFile
from training.data.target_cells import TargetCells


def collected(monkeypatch: pytest.MonkeyPatch, *cells: str) -> TargetColumn:
    """Return the target of a file that is read in blocks of a row or two."""
    monkeypatch.setattr("training.data.pieces.FIRST_BYTES", 12)
    monkeypatch.setattr("training.data.pieces.BLOCK_BYTES", 6)
    monkeypatch.setattr("training.data.pieces.TAIL_BYTES", 0)
    file = CsvFile(io.BytesIO(("x,y\n" + "".join(f"1,{cell}\n" for cell in cells)).encode()))
    file.read_header()
    target = TargetCells("y")
    assert not target
    for block in file.blocks({1}):
        target.add(block, 1, {"", "NA"})
    return target.column()


def test_codes_are_positions_among_the_texts_of_all_blocks_in_order_of_their_first_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = collected(monkeypatch, "b", "a", "", "b", "c", "NA", "a")

    assert target.values == ("b", "a", "c")
    assert target.codes.tolist() == [0, 1, -1, 0, 2, -1, 1]
    assert target.numbers is None


def test_quantities_are_numbers_of_one_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    target = collected(monkeypatch, "$7", "", "2.5")

    np.testing.assert_array_equal(target.numbers, [7, np.nan, 2.5])
    assert collected(monkeypatch, "1.5", "one").numbers is None
