"""From the bytes of an inference request (Open Inference Protocol) to those of its answer; no HTTP, no store."""

from __future__ import annotations

import asyncio

from app.codecs import oip_blocks
from app.codecs.oip import InferBody, InferRequest, Output, Tensor, read_request
from app.codecs.oip_answers import InferWriter, Written
from app.codecs.oip_tensors import read_rows
from app.contract import Contract, Float32
from app.dataplane import STEP_ROWS, DataPlane, require_finite
from app.runtime import LoadedModel
from app.scores import Answer, Scores

REHEARSALS = 3


class Inference:
    """Answers inference requests with what answers predictions."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def answer(self, body: InferBody, name: str, version: int | None, arrived_ns: int) -> Written:
        """Return the answer to a request.

        Args:
            body: the request's bytes.
            name: of the model.
            version: of the model; None for the active one.
            arrived_ns: when the request came, of `time.perf_counter_ns`; its timeout runs from there.

        Raises:
            ServingError: whatever is wrong with request or model.
        """
        model = await self._plane.resolve(name, version)
        request, x = await _read(body, model.contract)
        deadline_ns = arrived_ns + 1000 * request.timeout_us if request.timeout_us else None
        answer = await self._plane.infer(model, x, deadline_ns)
        require_finite(answer)
        writer = InferWriter(request, model.contract)
        if answer.rows <= STEP_ROWS or all(output.is_quick for output in request.outputs):
            writer.rows(answer)
            return writer.finish()
        for start in range(0, answer.rows, STEP_ROWS):
            part = answer.probabilities[start : start + STEP_ROWS]
            writer.rows(Answer(Scores(model.contract, x[start : start + STEP_ROWS], part), 0, len(part)))
            await asyncio.sleep(0)  # other requests get their turn
        return writer.finish()

    def rehearse(self, model: LoadedModel) -> None:
        """Read and write an ordinary request, so that no client pays for what is done the first time."""
        row = model.manifest.golden.features[0]
        tensor = Tensor("features", "FP32", (1, len(row)), data=list(row))
        for binary in (False, True) * REHEARSALS:
            request = InferRequest(None, (tensor,), (Output("probabilities", binary), Output("label", binary)))
            x = read_rows(request, model.contract)
            writer = InferWriter(request, model.contract)
            writer.rows(Answer(Scores(model.contract, x, model.infer(x)), 0, len(x)))
            writer.finish()


async def _read(body: InferBody, contract: Contract) -> tuple[InferRequest, Float32]:
    """Return a request and its rows, a large JSON tensor in steps."""
    if not oip_blocks.is_large(body):
        request = read_request(body)
        return request, read_rows(request, contract)
    try:
        request, values = oip_blocks.split(body)
        found = []
        for x in oip_blocks.blocks(request, values, contract):
            found.append(x)
            await asyncio.sleep(0)  # other requests get their turn
        return request, oip_blocks.rows(found, contract)
    except oip_blocks.Unusual:
        request = read_request(body)
        return request, read_rows(request, contract)
