"""Read large JSON tensors in steps, so that other requests run in between.

Only plain bodies are read here: one tensor of numbers, flat or as arrays of rows. All other bodies, including invalid
ones, are left to `oip.py` and `oip_tensors.py`, which give the same rows with the same bits. This module must not know
HTTP or torch.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np
import orjson

from app.errors import ServingError
from app.inference.codecs.blocks import Unusual
from app.inference.codecs.columns import NUMBERS, floats_of_text
from app.inference.codecs.json import BLOCK_BYTES, pieces
from app.inference.codecs.oip import InferBody, InferRequest, read_request
from app.schema import Float32, ModelSchema

_DATA = re.compile(rb'"data"\s*:\s*\[')
_END_OF_ROWS = re.compile(rb"\]\s*\]")
_BETWEEN_ROWS = re.compile(rb"\]\s*,")
_BETWEEN_NUMBERS = re.compile(rb",")
_ROW = re.compile(rb"\s*\[")
_MAX_ENVELOPE_BYTES = 16 << 10
_DATATYPES = frozenset(("FP32", "FP64"))


def is_large(body: InferBody) -> bool:
    """Return whether a body is large enough to be read in steps."""
    return body.json_bytes is None and len(body.data) > BLOCK_BYTES


def split(body: InferBody) -> tuple[InferRequest, bytes]:
    """Return a request without the values of its only tensor, and their text without the outer brackets.

    Raises:
        Unusual: if there is more than one tensor, or anything else in the body is not plain.
    """
    text = bytes(memoryview(body.data)[body.start :])
    found = _DATA.search(text)
    if found is None or text.count(b'"data"') != 1:
        raise Unusual
    begin = found.end()
    end = _end(text, begin)
    if begin + len(text) - end > _MAX_ENVELOPE_BYTES:
        raise Unusual
    envelope = text[:begin] + text[end:]
    if b"\\" in envelope:  # an escape may spell another `data`, which would be the tensor's
        raise Unusual
    try:
        request = read_request(InferBody(envelope))
    except ServingError as error:
        raise Unusual from error
    tensor = request.inputs[0]
    if len(request.inputs) != 1 or tensor.data != [] or tensor.datatype not in _DATATYPES:
        raise Unusual
    return request, text[begin:end]


def blocks(request: InferRequest, values: bytes, schema: ModelSchema) -> Iterator[Float32]:
    """Yield the rows of the tensor in blocks, float32, shape (n, F), finite; n may be 0.

    Raises:
        Unusual: if the shape or anything else is not plain; possibly after some blocks.
    """
    if not schema.all_numbers:
        raise Unusual
    features = len(schema.features)
    shape = request.inputs[0].shape or ()
    if len(shape) != 2 or shape[1] != features or not shape[0]:
        raise Unusual
    nested, left = _ROW.match(values) is not None, shape[0] * features
    rest = np.empty(0, dtype=np.float32)  # the beginning of a row, after flat values
    for text in pieces(values, _BETWEEN_ROWS if nested else _BETWEEN_NUMBERS, 0, len(values)):
        x = _parse_nested(text, features) if nested else floats_of_text(text)
        if x is None or (left := left - len(x)) < 0:
            raise Unusual
        x = np.concatenate((rest, x)) if len(rest) else x
        whole = len(x) - len(x) % features
        rest = x[whole:]
        yield x[:whole].reshape(-1, features)
    if left:
        raise Unusual


def _end(text: bytes, begin: int) -> int:
    """Return the end of the array that starts at `begin`, if it is plain."""
    if not _ROW.match(text, begin):
        closing = text.find(b"]", begin)
        return closing if closing >= 0 else len(text)
    end = _END_OF_ROWS.search(text, begin)
    if end is None:
        raise Unusual
    return end.end() - 1


def _parse_nested(text: bytes, columns: int) -> Float32 | None:
    """Return the numbers of a piece of rows with `columns` values; None if anything is not plain."""
    try:
        rows = orjson.loads(b"[%b]" % text)
    except orjson.JSONDecodeError:
        return None
    if not rows or any(type(row) is not list or len(row) != columns for row in rows):
        return None
    return NUMBERS.floats(list(itertools.chain.from_iterable(rows)))
