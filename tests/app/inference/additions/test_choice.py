"""What a request adds to an answer: nothing unless it asks, and never for bad rows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.inference.additions.added import Added, AddedOutput
from app.inference.additions.addition import Addition
from app.inference.additions.choice import Shared, choose_additions, extend, outputs_of
from app.inference.additions.explanation import Explainer
from app.inference.additions.keeping import KeepsNothing
from app.inference.batch_predictions import batch_of
from app.inference.options import PLAIN, Explain, PredictionOptions
from app.inference.predictions import Predictions
from app.receipts import ReceiptKeys
from app.telemetry.counts_by_version import CountsByVersion
from tests.app.inference.additions.test_explanation import Engine, loaded, product


class Numbers(Addition):
    """Adds the position of a row in its block."""

    def __init__(self, name: str) -> None:
        self.outputs = (AddedOutput(name, (name,)),)
        self.asked: list[int] = []

    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        """Return the positions."""
        self.asked += rows
        return Added([b""] * predictions.rows, [np.arange(predictions.rows, dtype=np.float32)[:, None]])


def test_a_request_that_asks_for_nothing_gets_nothing() -> None:
    model, counts = loaded(Engine(product), 2), CountsByVersion().version("means", 1)
    shared = Shared(Explainer(1), ReceiptKeys(None, Path("nowhere")), KeepsNothing())

    assert choose_additions(shared, model, model.schema, PLAIN, counts=counts) == ()
    both = PredictionOptions(explain=Explain(), receipt=True)
    found = choose_additions(shared, model, model.schema, both, counts=counts)
    assert [output.name for output in outputs_of(found)] == ["base", "contributions", "receipt"]


def test_all_additions_stand_beside_the_rows_of_their_block_only() -> None:
    model = loaded(Engine(product), 2)
    x = np.full((5, 2), 0.5, np.float32)
    block = Predictions(batch_of(model.schema, x, product(x)), 1, 4)
    first, second = Numbers("first"), Numbers("second")

    extended = asyncio.run(extend(block, (first, second), {1}))

    assert [column.tolist() for column in extended.added.columns()] == [[0, 1, 2], [0, 1, 2]]
    assert first.asked == second.asked == [0, 2]
    assert block.batch.added is None
    assert [output.name for output in outputs_of((first, second))] == ["first", "second"]
