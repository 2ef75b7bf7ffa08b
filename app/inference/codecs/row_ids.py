"""The caller's own ids of rows: in a column of a table, or beside the rows of a document.

This module must not know any particular format.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from app.errors import InvalidInput, wrong_field
from app.inference.codecs.blocks import RowBlock
from app.receipts import ID_FORM, read_id


class RowIds(NamedTuple):
    """How the ids of rows are read.

    Attributes:
        column: name of the column that holds them.
        of: returns the id of a row as the format has rows: a line, or its fields; or raises InvalidInput or
            MalformedBody.
    """

    column: str
    of: Callable[[Any], str | None]


def read_cell_id(value: object) -> str | None:
    """Return the id in a cell of a table; None if the cell is empty.

    Raises:
        InvalidInput.
    """
    if value is None or value == "":
        return None
    found = read_id(value)
    if found is None:
        raise InvalidInput(ID_FORM)
    return found


def give_ids(blocks: Sequence[RowBlock], ids: Sequence[str | None]) -> None:
    """Give the rows of a document their ids.

    Raises:
        InvalidInput: if there are more or fewer ids than rows.
    """
    rows = sum(len(block.x) for block in blocks)
    if len(ids) != rows:
        raise wrong_field("ids", f"must have one id for each row, {rows}, got {len(ids)}", "ids")
    for block in blocks:
        block.ids, ids = ids[: len(block.x)], ids[len(block.x) :]
