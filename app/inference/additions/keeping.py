"""Say what is to be kept of predicted rows: ids of callers, and inputs of some rows.

This module must not know HTTP, or where anything is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from app.errors import wrong_field
from app.inference.codecs.converters import example_row
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from modelstore import NumericFeature


class KeptRow(NamedTuple):
    """What is to be kept of one row.

    Attributes:
        model: name of the model that answered.
        version: number of its version.
        receipt: its receipt.
        id: the caller's own id; None if the row has none.
        inputs: its values by column, as JSON values; None if they are not to be kept.
    """

    model: str
    version: int
    receipt: str
    id: str | None
    inputs: dict[str, Any] | None


class Keeper(Protocol):
    """Keeps ids and inputs of rows."""

    @property
    def keeps_ids(self) -> bool:
        """Return whether ids are kept at all."""

    def sample(self, rows: Sequence[int]) -> Sequence[int]:
        """Return those of the rows, by position, whose inputs are to be kept."""

    def keeps_column(self, name: str) -> bool:
        """Return whether the values of a column may be kept."""

    async def keep(self, rows: Sequence[KeptRow]) -> None:
        """Keep rows; return once their ids cannot be lost any more. Inputs are kept soon after, if possible.

        Raises:
            StoreUnavailable: if ids cannot be kept now.
        """


class KeepsNothing:
    """Keeps neither ids nor inputs, as where there is no database."""

    keeps_ids = False

    def sample(self, rows: Sequence[int]) -> Sequence[int]:
        """Return no row."""
        return ()

    def keeps_column(self, name: str) -> bool:
        """Return False."""
        return False

    async def keep(self, rows: Sequence[KeptRow]) -> None:
        """Keep nothing."""


def require_ids(keeper: Keeper, field: str) -> None:
    """Refuse ids that would not be kept.

    Raises:
        InvalidInput: naming the field that has them.
    """
    if not keeper.keeps_ids:
        problem = "is not possible: this service keeps no ids (TABSERVE_FEEDBACK_ID_DAYS is 0); use receipts instead"
        raise wrong_field(field, problem, field)


def rows_to_keep(
    keeper: Keeper, predictions: Predictions, rows: Sequence[int], receipts: NDArray[Any]
) -> list[KeptRow]:
    """Return what is to be kept of answered rows of a block; `receipts`, object (n,), are those of all its rows."""
    ids, sampled = predictions.batch.ids, frozenset(keeper.sample(rows))
    if ids is None and not sampled:
        return []
    schema, found = predictions.schema, []
    inputs = _inputs(keeper, schema, predictions, sorted(sampled))
    for row in rows:
        own = None if ids is None else ids[row]
        if own is not None or row in sampled:
            found.append(KeptRow(schema.name, schema.version, receipts[row], own, inputs.get(row)))
    return found


def _inputs(
    keeper: Keeper, schema: ModelSchema, predictions: Predictions, rows: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """Return the values of rows, by position, in the columns that may be kept.

    Numbers have the digits of float32. A category that the version does not know is a replacement character.
    """
    x = np.ascontiguousarray(predictions.batch.x[predictions.start :][list(rows)])  # (n, W)
    numbers = orjson.loads(orjson.dumps(x, option=orjson.OPT_SERIALIZE_NUMPY))
    kept = [
        (place, feature.name, start if isinstance(feature, NumericFeature) else None)
        for place, (feature, start) in enumerate(zip(schema.types, schema.starts, strict=True))
        if keeper.keeps_column(feature.name)
    ]
    found = {}
    for row, cells, digits in zip(rows, x, numbers, strict=True):
        values = example_row(schema, cells)
        found[row] = {name: values[place] if cell is None else digits[cell] for place, name, cell in kept}
    return found
