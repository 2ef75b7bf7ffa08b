"""Give a receipt with each row, and have ids and inputs kept with it.

This module must not know HTTP, or where anything is kept.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence

import numpy as np
import orjson

from app.context import require_wanted
from app.inference.additions.added import Added, AddedOutput, AddedOutputs
from app.inference.additions.addition import Addition
from app.inference.additions.keeping import Keeper, KeptRow, rows_to_keep
from app.inference.predictions import Predictions
from app.inference.shadow import ShadowRunner
from app.receipts import FIELDS, Mac, ReceiptKeys, mac_of, macs_of, model_id, write_receipts
from app.runtime.load import LoadedModel
from app.telemetry.version_counters import VersionCounts

STEP_ROWS = 128  # rows in one step, which takes less than half a millisecond

OUTPUT = AddedOutput("receipt", ("receipt",), is_text=True)


class Receipts(Addition):
    """Give receipts for the rows of one request.

    Attributes:
        outputs: what is answered.
    """

    outputs: AddedOutputs = (OUTPUT,)

    def __init__(
        self,
        keys: ReceiptKeys,
        model: LoadedModel,
        counts: VersionCounts,
        keeper: Keeper,
        shadows: ShadowRunner | None = None,
    ) -> None:
        self._keys, self._model, self._counts = keys, model, counts
        self._keeper, self._shadows = keeper, shadows
        self._nonce = secrets.token_bytes(5)
        self._row = 0
        self._given = 0
        self._kept: list[KeptRow] = []

    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        """Return a receipt for some rows of a block.

        Raises:
            ReceiptKeyUnavailable, DeadlinePassed, ClientGone.
        """
        mac = await self._mac()
        contents = self._fields(predictions)
        fields, texts = [b""] * predictions.rows, np.full((predictions.rows, 1), None, dtype=object)
        for start in range(0, len(rows), STEP_ROWS):
            if start:
                await asyncio.sleep(0)  # other requests run
                require_wanted()
            step = rows[start : start + STEP_ROWS]
            receipts = write_receipts(contents[step], mac)
            for row, receipt in zip(step, receipts, strict=True):
                texts[row, 0] = receipt
                fields[row] = b',"receipt":' + orjson.dumps(receipt)
            self._offer(predictions, step, receipts, int(contents["time"][0]))
            self._kept += rows_to_keep(self._keeper, predictions, step, texts[:, 0])
        self._given += len(rows)
        return Added(fields, [texts])

    async def finish(self) -> None:
        """Keep ids and inputs of the rows since the last call, and count their receipts.

        Raises:
            StoreUnavailable: if ids cannot be kept.
        """
        kept, given = self._kept, self._given
        self._kept, self._given = [], 0
        await self._keeper.keep(kept)
        self._counts.count_receipts(given)

    def _offer(self, predictions: Predictions, rows: Sequence[int], receipts: Sequence[str], time_s: int) -> None:
        """Queue the rows for the shadow, unless the request has a decision of its own."""
        shadows, model = self._shadows, self._model
        if shadows is not None and shadows.has(model) and predictions.schema is model.schema:
            shadows.offer_receipts(model, predictions.batch.x[rows], macs_of(receipts), time_s)

    async def _mac(self) -> Mac:
        if not self._keys.are_read:
            await asyncio.to_thread(self._keys.secrets)
        schema = self._model.schema
        return mac_of(self._keys.secrets()[0], schema.name, schema.version, self._model.manifest.sha256)

    def _fields(self, predictions: Predictions) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """Return the contents of the receipts of a block, an array of `FIELDS`, (N,)."""
        contents = np.zeros(predictions.rows, dtype=FIELDS)
        schema = predictions.schema
        contents["model"], contents["version"] = model_id(schema.name), schema.version
        contents["time"], contents["nonce"] = int(time.time()), np.void(self._nonce)
        contents["row"] = np.arange(self._row, self._row + predictions.rows)
        self._row += predictions.rows
        contents["label"] = predictions.winners
        contents["number"] = predictions.outputs[np.arange(predictions.rows), predictions.winners]
        return contents
