"""Read JSON prediction requests, whole or in blocks.

This module must not know torch, HTTP or which version serves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from app.inference.codecs.blocks import Envelope, Unusual, require_few
from app.inference.codecs.envelopes import INSTANCES, find_rows, in_feature_order, invalid_field
from app.inference.codecs.json_rows import plain_rows, precise_rows, quick_rows, rows_have_unique_names
from app.inference.codecs.strict_json import MOST_AT_ONCE_BYTES, DigitsLost, parse
from app.inference.options import PLAIN, PredictionOptions, read_options
from app.schema import Float32, ModelSchema

CONTENT_TYPE = "application/json"
# About 500 rows of four features, parsed in a fifth of a millisecond, so that other requests get their turn.
BLOCK_BYTES = 12 << 10

_FIELDS = frozenset((INSTANCES, "model", "version"))
_HEAD = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[\s*(?=[\[{])')
_TAIL = re.compile(rb"\s*\]\s*\}\s*")
_BETWEEN_ARRAYS = re.compile(rb"\]\s*,")
_BETWEEN_OBJECTS = re.compile(rb"\}\s*,")


class PredictRequest(NamedTuple):
    """The envelope of a prediction request; its rows are not validated yet.

    Attributes:
        text: the body, if the fast parser accepted it, so that the fast reader may be tried; else None.
        names: names of the values of each row, if the document states them once; None for other forms.
        options: what the document asks for beside its rows; None for nothing.
    """

    model: str | None
    version: int | None
    instances: list[Any]
    text: bytes | None
    names: tuple[str, ...] | None = None
    options: PredictionOptions | None = None


def example_body(rows: Sequence[Sequence[object]]) -> bytes:
    """Return the body of a request with these rows."""
    return orjson.dumps({"instances": rows})


def read_request(body: bytes, at_once_bytes: int = MOST_AT_ONCE_BYTES) -> PredictRequest:
    """Read the envelope `{"instances": [...], "model": "...", "version": 3, "explain": true}`; only rows must be there.

    They may stand in another form instead, see `envelopes.py`. The fast parser reads up to `at_once_bytes`, 0 for none.

    Raises:
        MalformedBody: if the body is not JSON, or an object in it has a duplicate name.
        InvalidInput: if a field is missing, unknown or of the wrong type.
    """
    plain = len(body) <= at_once_bytes
    try:
        document = orjson.loads(body) if plain else parse(body)
    except orjson.JSONDecodeError:
        document, plain = parse(body), False
    if type(document) is dict and _FIELDS.issuperset(document):
        instances, names, strings, options = document.get(INSTANCES), None, len(document), None
    else:
        instances, names, strings = find_rows(document)
        try:
            options = read_options(document)
        except DigitsLost:
            return read_request(body, at_once_bytes=0)
        strings += sum(type(own) is str for own in document.get("ids") or ())
    model = document.get("model")
    version = document.get("version")
    if type(instances) is not list or not instances:
        raise invalid_field("instances", "must be an array of at least one row", instances)
    if model is not None and type(model) is not str:
        raise invalid_field("model", "must be the name of a model", model)
    if version is not None and (type(version) is not int or not 1 <= version <= 999_999_999):
        raise invalid_field("version", "must be a whole number from 1", version)
    if plain and not rows_have_unique_names(body, instances, strings + (model is not None)):
        parse(body)  # refuses duplicate names; accepts escapes and strings as values
    return PredictRequest(model, version, instances, body if plain else None, names, options)


def read_rows(request: PredictRequest, schema: ModelSchema, *, ignore_extra: bool = False) -> Float32:
    """Return the rows as cells, float32, shape (N, W).

    Args:
        request: request whose rows are arrays in feature order or objects by feature name, in any mixture.
        schema: schema of the model.
        ignore_extra: ignore names that the model does not know, instead of refusing them.

    Raises:
        InvalidInput: if a row is invalid; names row and feature of the first problems.
    """
    instances = request.instances
    if request.names is not None:
        instances = in_feature_order(instances, request.names, schema, ignore_extra=ignore_extra)
    if request.text is None:
        return precise_rows(instances, schema, ignore_extra=ignore_extra)
    try:
        rows = quick_rows(instances, schema)
        return precise_rows(instances, schema, ignore_extra=ignore_extra) if rows is None else rows
    except DigitsLost:
        return read_rows(read_request(request.text, at_once_bytes=0), schema, ignore_extra=ignore_extra)


class JsonReader:
    """Read a prediction request: in steps if it is large and plain, else as a whole."""

    may_name_model = True
    is_one_computation = False
    deadline_ns = None

    def __init__(self, body: bytes, *, ignore_extra: bool = False, options: PredictionOptions = PLAIN) -> None:
        self.options = options
        self.size_bytes = len(body)
        self.has_steps = len(body) > BLOCK_BYTES
        self._body = body
        self._ignore_extra = ignore_extra
        self._request: PredictRequest | None = None

    def steps(self, schema: ModelSchema) -> Iterator[Float32]:
        """Yield the rows in blocks."""
        return row_blocks(self._body, schema)

    def parse(self, max_rows: int) -> Envelope:
        """Read the envelope."""
        request = read_request(self._body)
        require_few(len(request.instances), max_rows)
        self.options = self.options.merge(request.options)
        self._request = request
        return Envelope(request.model, request.version)

    def rows_bytes(self, _schema: ModelSchema) -> int:
        """Return the size of the body."""
        return self.size_bytes

    def rows(self, schema: ModelSchema) -> Float32:
        """Return the rows of the parsed request."""
        request, self._request = self._request, None
        assert request is not None
        return read_rows(request, schema, ignore_extra=self._ignore_extra)


def row_blocks(body: bytes, schema: ModelSchema) -> Iterator[Float32]:
    """Yield the rows of a large request in blocks, float32, shape (n, F), so that other work can run in between.

    Raises:
        Unusual: if anything is not plain, such as a `model` or `version` field; possibly after some blocks.
    """
    head, tail = _HEAD.match(body), body.rfind(b"]")
    if head is None or _TAIL.fullmatch(body, tail) is None:
        raise Unusual
    between = _BETWEEN_ARRAYS if body[head.end()] == ord("[") else _BETWEEN_OBJECTS
    for piece in pieces(body, between, head.end(), tail):
        rows = plain_rows(b"[%b]" % piece, schema)
        if rows is None:
            raise Unusual
        yield rows


def pieces(text: bytes, between: re.Pattern[bytes], start: int, stop: int) -> Iterator[bytes]:
    """Yield the elements of a JSON array in pieces, without the brackets and the commas between pieces.

    Args:
        text: holds the elements.
        between: matches the end of an element and the comma behind it.
        start: where the first element starts.
        stop: where the last element ends.

    Raises:
        Unusual: if a piece is too large to be parsed at once: a single row of that length, or invalid text.
    """
    while True:
        cut = between.search(text, start + BLOCK_BYTES, stop)
        end = cut.end() - 1 if cut else stop
        if end - start > MOST_AT_ONCE_BYTES:
            raise Unusual
        yield text[start:end]
        if cut is None:
            return
        start = cut.end()
