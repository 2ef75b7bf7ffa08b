"""Answer inference requests of the Open Inference Protocol, from bytes to bytes.

This module must not know HTTP or the store.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from app.errors import TooManyRows
from app.holding import hold
from app.inference.codecs import oip_blocks
from app.inference.codecs.json import Unusual
from app.inference.codecs.oip import InferBody, InferRequest, Output, Tensor, read_request
from app.inference.codecs.oip_answers import InferWriter, Written
from app.inference.codecs.oip_tensors import read_rows
from app.inference.dataplane import STEP_ROWS, DataPlane, require_finite
from app.inference.offload import OffloadThread
from app.inference.predictions import BatchClassification, Predictions
from app.inference.target import resolve_version
from app.patience import require_wanted
from app.runtime.load import LoadedModel
from app.schema import Contract, Float32
from app.telemetry.stage_timer import Stages

REHEARSALS = 3


class Inference:
    """Answer inference requests through the same data plane as predictions."""

    def __init__(self, plane: DataPlane, offload: OffloadThread, max_rows: int) -> None:
        """Create the handler.

        Args:
            plane: computes the answers.
            offload: reads large bodies that cannot be read in steps.
            max_rows: largest number of rows in a request.
        """
        self._plane = plane
        self._offload = offload
        self._max_rows = max_rows

    async def answer(self, body: InferBody, name: str, version: int | None, arrived_ns: int) -> Written:
        """Return the answer to a request.

        Args:
            body: the request's bytes.
            name: name of the model.
            version: version of the model; None for the active one.
            arrived_ns: arrival on the clock of `time.perf_counter_ns`; the request's timeout starts there.

        Raises:
            ServingError: for any error of the request or the model.
        """
        with self._plane.stages(None) as stages:
            model = await resolve_version(self._plane, stages, name, version)
            request, x = await self._read(stages, body, model.contract)
            stages.parsed()
            deadline_ns = arrived_ns + 1000 * request.timeout_us if request.timeout_us else None
            predictions = await self._plane.infer(model, x, deadline_ns)
            stages.computed(*predictions.batch.timing)
            require_finite(predictions)
            written = await _written(stages, InferWriter(request, model.contract), request, predictions)
            hold(len(written.body))
            stages.encoded()
            return written

    def rehearse(self, model: LoadedModel) -> None:
        """Answer typical requests and drop the answers, so that no client pays for first-call costs."""
        row = model.manifest.golden.features[0]
        tensor = Tensor("features", "FP32", (1, len(row)), data=list(row))
        for binary in (False, True) * REHEARSALS:
            request = InferRequest(None, (tensor,), (Output("probabilities", binary), Output("label", binary)))
            x = read_rows(request, model.contract)
            writer = InferWriter(request, model.contract)
            writer.rows(Predictions(BatchClassification(model.contract, x, model.infer(x)), 0, len(x)))
            writer.finish()

    async def _read(self, stages: Stages, body: InferBody, contract: Contract) -> tuple[InferRequest, Float32]:
        """Return a request and its rows; read a large JSON tensor in steps."""
        if oip_blocks.is_large(body):
            with contextlib.suppress(Unusual):
                return await self._read_in_blocks(stages, body, contract)
        json_bytes = len(body.data) if body.json_bytes is None else body.json_bytes
        return await self._offload.run(json_bytes, self._read_whole, body, contract)

    def _read_whole(self, body: InferBody, contract: Contract) -> tuple[InferRequest, Float32]:
        request = read_request(body)
        x = read_rows(request, contract)
        if len(x) > self._max_rows:
            raise TooManyRows(self._max_rows)
        return replace(request, inputs=()), x  # frees the parsed values here, in the thread

    async def _read_in_blocks(
        self, stages: Stages, body: InferBody, contract: Contract
    ) -> tuple[InferRequest, Float32]:
        """Return a request with one tensor and its rows, read in steps.

        Raises:
            Unusual: if the body must be read as a whole.
            TooManyRows.
        """
        request, values = oip_blocks.split(body)
        found: list[Float32] = []
        left = self._max_rows * len(contract.features)
        for x in oip_blocks.blocks(request, values, contract):
            found.append(x)
            if (left := left - len(x)) < 0:
                raise TooManyRows(self._max_rows)
            stages.parsed()
            await asyncio.sleep(0)  # other requests get their turn
            stages.resume()
            require_wanted()
        return request, oip_blocks.rows(found, contract)


async def _written(stages: Stages, writer: InferWriter, request: InferRequest, predictions: Predictions) -> Written:
    """Return the answer with the requested outputs; write a large one in steps."""
    if predictions.rows <= STEP_ROWS or all(output.is_quick for output in request.outputs):
        writer.rows(predictions)
        return writer.finish()
    x, contract = predictions.batch.x[predictions.start : predictions.stop], predictions.contract
    for start in range(0, predictions.rows, STEP_ROWS):
        part = predictions.outputs[start : start + STEP_ROWS]
        writer.rows(Predictions(BatchClassification(contract, x[start : start + STEP_ROWS], part), 0, len(part)))
        stages.encoded()
        await asyncio.sleep(0)  # other requests get their turn
        stages.resume()
    return writer.finish()
