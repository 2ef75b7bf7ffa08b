"""What is to be kept of a block: ids of rows that have one, inputs of the sampled ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from app.errors import InvalidInput
from app.inference.additions.keeping import KeepsNothing, KeptRow, require_ids, rows_to_keep
from app.inference.batch_predictions import batch_of
from app.inference.predictions import Predictions
from tests.app.typed import typed_schema

RECEIPTS = np.array(["r0", "r1"], dtype=object)


class Keeper(KeepsNothing):
    """Samples the second row, without one column."""

    def sample(self, rows: Sequence[int]) -> Sequence[int]:
        return [row for row in rows if row == 1]

    def keeps_column(self, name: str) -> bool:
        return name != "sum"


def block(ids: Sequence[str | None] | None) -> Predictions:
    schema = typed_schema("regression")
    x = np.array([[20.0, 0, 1, 18263, 30, 0], [0.1, 9, 0, np.nan, np.nan, 1]], dtype=np.float32)
    predictions = Predictions(batch_of(schema, x, np.zeros((2, 1), np.float32)), 0, 2)
    predictions.batch.ids = ids
    return predictions


def test_rows_without_id_and_outside_the_sample_are_not_kept() -> None:
    assert rows_to_keep(KeepsNothing(), block(None), [0, 1], RECEIPTS) == []
    assert rows_to_keep(KeepsNothing(), block(["a", None]), [0, 1], RECEIPTS) == [KeptRow("typed", 1, "r0", "a", None)]
    assert rows_to_keep(KeepsNothing(), block(["a", "b"]), [1], RECEIPTS) == [KeptRow("typed", 1, "r1", "b", None)]


def test_inputs_are_the_values_of_the_columns_that_may_be_kept() -> None:
    first, second = rows_to_keep(Keeper(), block(["a", "b"]), [0, 1], RECEIPTS)

    assert (first.id, first.inputs) == ("a", None)
    assert second.inputs is not None
    assert list(second.inputs.values()) == [0.1, "\N{REPLACEMENT CHARACTER}", False, None]


def test_ids_that_nothing_keeps_are_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match="ids is not possible: this service keeps no ids"):
        require_ids(KeepsNothing(), "ids")
