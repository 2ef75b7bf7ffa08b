"""Read requests of the Open Inference Protocol for the pipeline.

This module must not know HTTP or torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import orjson

from app.inference.additions.added import AddedOutputs
from app.inference.codecs import oip_blocks
from app.inference.codecs.blocks import Envelope, require_few
from app.inference.codecs.oip import InferBody, InferRequest, read_request
from app.inference.codecs.oip_answers import InferWriter
from app.inference.codecs.oip_datatypes import DATATYPE_OF
from app.inference.codecs.oip_tensors import read_rows
from app.inference.options import PredictionOptions
from app.schema import Float32, ModelSchema

_UNREAD = InferRequest(None, (), ())


class OipReader:
    """Read an inference request: in steps if it is one large and plain JSON tensor, else as a whole."""

    may_name_model = False
    is_one_computation = True

    def __init__(
        self, body: InferBody, arrived_ns: int, *, strict: bool | None = None, receipt: bool | None = None
    ) -> None:
        """Create a reader.

        Args:
            body: the request's bytes.
            arrived_ns: arrival on the clock of `time.perf_counter_ns`; the request's timeout starts there.
            strict: what the query says about unusual values; if nothing, the request's parameters may say it.
            receipt: whether the header asks for receipts.
        """
        self.size_bytes = len(body.data) if body.json_bytes is None else body.json_bytes
        self.has_steps = oip_blocks.is_large(body)
        self._body = body
        self._arrived_ns = arrived_ns
        self._strict = strict
        self._receipt = receipt
        self._request = _UNREAD

    @property
    def options(self) -> PredictionOptions:
        """Return what the request asks for; of unusual values, what the query says."""
        options = replace(self._request.options, receipt=self._receipt)
        return options if self._strict is None else replace(options, strict=self._strict)

    @property
    def deadline_ns(self) -> int | None:
        """Return the end of the request's timeout, if it has one."""
        timeout_us = self._request.timeout_us
        return self._arrived_ns + 1000 * timeout_us if timeout_us else None

    def steps(self, schema: ModelSchema) -> Iterator[Float32]:
        """Yield the rows in blocks."""
        self._request, values = oip_blocks.split(self._body)
        yield from oip_blocks.blocks(self._request, values, schema)

    def parse(self, max_rows: int) -> Envelope:
        """Read the request, except the values of its tensors."""
        self._request = read_request(self._body)
        for tensor in self._request.inputs:
            values = tensor.data if tensor.part is None else tensor.part
            require_few(min(len(values or ()), *(tensor.shape or (0,))[:1]), max_rows)  # a false shape is refused later
        return Envelope()

    def rows_bytes(self, schema: ModelSchema) -> int:
        """Return the size of the body, or of its JSON if the values after it are numbers that stand for themselves."""
        of_numbers = schema.all_numbers and all(tensor.datatype != "BYTES" for tensor in self._request.inputs)
        return self.size_bytes if of_numbers else len(self._body.data)

    def rows(self, schema: ModelSchema) -> Float32:
        """Return the rows of the parsed request."""
        request, self._request = self._request, replace(self._request, inputs=())
        return read_rows(request, schema)

    def writer(self, schema: ModelSchema, added: AddedOutputs = ()) -> InferWriter:
        """Return a writer of the outputs that the request asks for."""
        return InferWriter(self._request, schema, added)


def example_body(schema: ModelSchema, row: Sequence[object], *, binary: bool) -> InferBody:
    """Return the body of a request with this row of values; all its outputs are JSON or binary."""
    tensors: list[dict[str, object]] = [{"name": "features", "datatype": "FP32", "shape": (1, len(row)), "data": row}]
    if not schema.all_numbers:
        tensors = [
            {"name": feature.name, "datatype": DATATYPE_OF[feature.type], "shape": (1,), "data": [value]}
            for feature, value in zip(schema.types, row, strict=True)
        ]
    return InferBody(orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": binary}}))
