"""Ids of rows, in cells and beside rows; the formats' own tests read them from bodies."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import InvalidInput
from app.inference.codecs.blocks import RowBlock
from app.inference.codecs.row_ids import give_ids, read_cell_id
from app.receipts import ID_CHARACTERS


@pytest.mark.parametrize(("cell", "found"), [("order-7", "order-7"), (7, "7"), ("", None), (None, None)], ids=repr)
def test_empty_cell_has_no_id(cell: object, found: str | None) -> None:
    assert read_cell_id(cell) == found


def test_cell_that_is_no_id_is_refused() -> None:
    with pytest.raises(InvalidInput):
        read_cell_id("x" * (ID_CHARACTERS + 1))


def test_ids_of_a_document_go_to_its_blocks_in_order() -> None:
    blocks = [RowBlock(np.zeros((rows, 1), np.float32), first) for rows, first in ((2, 0), (1, 2))]

    give_ids(blocks, ("a", None, "c"))

    assert [block.ids for block in blocks] == [("a", None), ("c",)]


@pytest.mark.parametrize("ids", [("a",), ("a", "b", "c")], ids=["fewer", "more"])
def test_other_number_of_ids_than_rows_is_refused(ids: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=f"one id for each row, 2, got {len(ids)}"):
        give_ids([RowBlock(np.zeros((2, 1), np.float32), 0)], ids)
