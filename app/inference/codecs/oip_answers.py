"""Write answers of the Open Inference Protocol, with outputs as JSON or as binary data.

Rows come in blocks, so that a large answer does not block the event loop. This module must not know HTTP or torch.
"""

from __future__ import annotations

import functools
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.inference.additions.added import AddedOutput, AddedOutputs, facts_of, has_decision, json_of
from app.inference.codecs.oip import CLASSIFIED, InferRequest, Output
from app.inference.predictions import Predictions
from app.schema import ModelSchema

JSON, BINARY = "application/json", "application/octet-stream"
STEP_ROWS = 2048  # rows to write in one step, unless their outputs are quick

Buffer = bytes | memoryview

_FEW_ROWS = 16  # up to this number, the batch's shared digits are quicker than a separate orjson call
_DATATYPES = {"probabilities": b"FP32", "label": b"BYTES", "class_index": b"INT64", "value": b"FP32"}
_LENGTH = struct.Struct("<I")


class InferWriter:
    """Write the requested outputs, all at the end, since the JSON before them states their sizes.

    Attributes:
        json_bytes: number of bytes that are JSON, if binary outputs follow; else None. Known after `tail`.
    """

    def __init__(self, request: InferRequest, schema: ModelSchema, added: AddedOutputs = ()) -> None:
        self._id = request.id
        self._schema = schema
        self._facts = facts_of(added)
        if schema.decision is not None and not has_decision(added):
            self._facts = {"decision": schema.decision.policy} | self._facts
        self._added = {output.name: (place, output) for place, output in enumerate(added)}
        self._outputs = request.outputs_for(schema, added)
        self._blocks: list[list[Buffer]] = [[] for _ in self._outputs]
        self._rows = 0
        self._is_binary = any(output.binary for output in self._outputs)
        self.json_bytes: int | None = None
        self.content_type = BINARY if self._is_binary else JSON
        self.block_rows = sys.maxsize if all(output.is_quick for output in self._outputs) else STEP_ROWS

    def head(self) -> bytes:
        """Return nothing."""
        return b""

    def rows(self, predictions: Predictions) -> bytes:
        """Keep the rows of a block for the end."""
        self._rows += predictions.rows
        for output, blocks in zip(self._outputs, self._blocks, strict=True):
            if output.name in self._added:
                place, found = self._added[output.name]
                blocks.append(_added_block(predictions.added.values[place], found, output))
            else:
                blocks.append(_block(predictions, output))
        return b""

    def tail(self) -> bytes:
        """Return the whole answer."""
        described = b",".join(map(self._describe, self._outputs, self._blocks))
        name = b'"id":%b,' % orjson.dumps(self._id) if self._id is not None else b""
        facts = b'"parameters":%b,' % orjson.dumps(self._facts) if self._facts else b""
        text = b'%b%b%b"outputs":[%b]}' % (_head(self._schema), name, facts, described)
        binary = [
            block
            for output, blocks in zip(self._outputs, self._blocks, strict=True)
            if output.binary
            for block in blocks
        ]
        if not self._is_binary:
            return text
        self.json_bytes = len(text)
        return b"".join((text, *binary))

    def _describe(self, output: Output, blocks: list[Buffer]) -> bytes:
        shape = b"%d" % self._rows
        if output.name in self._added:
            found = self._added[output.name][1]
            datatype = b"BYTES" if found.is_text else b"FP32"
            shape += b",%d" % len(found.columns)
        else:
            datatype = b"BYTES" if output.top else _DATATYPES[output.name]
        if output.name == CLASSIFIED:
            classes = len(self._schema.classes)
            shape += b",%d" % (min(output.top, classes) if output.top else classes)
        elif output.name == "value":
            shape += b",1"
        described = b'{"name":"%b","datatype":"%b","shape":[%b],' % (output.name.encode(), datatype, shape)
        if output.binary:
            size = sum(len(block) if isinstance(block, bytes) else block.nbytes for block in blocks)
            return described + b'"parameters":{"binary_data_size":%d}}' % size
        return described + b'"data":[%b]}' % b",".join(blocks)


def _block(predictions: Predictions, output: Output) -> Buffer:
    """Return the rows of a block: bytes of the tensor, or JSON values separated by commas."""
    if output.top:
        texts = _rank(predictions, output.top)
        return _elements(texts) if output.binary else b",".join([orjson.dumps(text.decode()) for text in texts])
    if output.name == "label":
        labels = _labels(predictions.schema, binary=output.binary)
        return (b"" if output.binary else b",").join([labels[k] for k in predictions.best])
    if output.name == "class_index":
        return predictions.winners.astype("<i8").tobytes() if output.binary else orjson.dumps(predictions.best)[1:-1]
    if output.binary:
        return predictions.outputs.astype("<f4", copy=False).data
    if predictions.rows <= _FEW_ROWS:
        return b",".join(predictions.digits)
    return orjson.dumps(predictions.outputs.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def _added_block(values: NDArray[Any], found: AddedOutput, output: Output) -> Buffer:
    """Return additional values (n, columns) as `_block` does: null where a row has none, as bytes NaN or no text."""
    if not output.binary:
        return json_of(values.ravel())[1:-1]
    if found.is_text:
        return _elements([(text or "").encode() for text in values.ravel().tolist()])
    return values.astype("<f4", copy=False).tobytes()


def _rank(predictions: Predictions, top: int) -> list[bytes]:
    """Return `value:index:label` of the most probable classes of each row; equal ones in class order."""
    classes = len(predictions.schema.classes)
    order = np.argsort(-predictions.outputs, axis=1, kind="stable")[:, :top]  # (rows, top)
    tails = [b":%d:%b" % (k, label.encode()) for k, label in enumerate(predictions.schema.classes)]
    digits = predictions.digits
    return [digits[row * classes + k] + tails[k] for row, best in enumerate(order.tolist()) for k in best]


def _elements(texts: Sequence[bytes]) -> bytes:
    """Return a BYTES tensor: each element preceded by its length."""
    return b"".join([_LENGTH.pack(len(text)) + text for text in texts])


@functools.lru_cache(maxsize=256)
def _labels(schema: ModelSchema, *, binary: bool) -> list[bytes]:
    """Return the class names as they are written in an answer."""
    if binary:
        return [_elements([label.encode()]) for label in schema.classes]
    return [orjson.dumps(label) for label in schema.classes]


@functools.lru_cache(maxsize=256)
def _head(schema: ModelSchema) -> bytes:
    return b'{"model_name":%b,"model_version":"%d",' % (orjson.dumps(schema.name), schema.version)
