"""Read JSON prediction requests into float32 rows.

There are two readers: a fast one for well-formed input, and a precise one that runs only if the fast one declines. The
precise one decides what is an error and reports where, so both accept the same rows with the same bits. This module
must not know torch, HTTP or which version serves.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import MAX_PROBLEMS, InvalidInput, Problem
from app.inference.codecs import precise_json
from app.schema import Contract, Float32, packed
from modelstore import wording

CONTENT_TYPE = "application/json"
# About 500 rows of four features, parsed in a fifth of a millisecond, so that other requests get their turn.
BLOCK_BYTES = 12 << 10

_NAMES = ("instances", "model", "version")
_FIELDS = frozenset(_NAMES)
_HEAD = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[\s*(?=[\[{])')
_TAIL = re.compile(rb"\s*\]\s*\}\s*")
_COMMA = re.compile(rb"\s*,\s*")
_CLOSING = {ord("["): b"]", ord("{"): b"}"}


class Unusual(Exception):
    """Raised if a body is not plain enough for `row_blocks`; `read_request` must then read it."""


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """The envelope of a prediction request; its rows are not validated yet.

    Attributes:
        plain: whether the fast parser accepted the body and it holds no booleans, so that the fast reader may be used.
    """

    model: str | None
    version: int | None
    instances: list[Any]
    plain: bool


def example_body(rows: Sequence[Sequence[float]]) -> bytes:
    """Return the body of a request with these rows."""
    return orjson.dumps({"instances": rows})


def read_request(body: bytes) -> PredictRequest:
    """Read the envelope `{"instances": [...], "model": "...", "version": 3}`; the last two are optional.

    Raises:
        MalformedBody: if the body is not JSON, or an object in it has a duplicate name.
        InvalidInput: if a field is missing, unknown or of the wrong type.
    """
    plain = not _may_hold_booleans(body) and len(body) <= precise_json.MOST_AT_ONCE_BYTES
    try:
        document = orjson.loads(body) if plain else precise_json.parse(body)
    except orjson.JSONDecodeError:
        document, plain = precise_json.parse(body), False
    if type(document) is not dict or not _FIELDS.issuperset(document):
        raise _invalid_envelope(document)
    instances = document.get("instances")
    model = document.get("model")
    version = document.get("version")
    if type(instances) is not list or not instances:
        raise _invalid_field("instances", "must be an array of at least one row", instances)
    if model is not None and type(model) is not str:
        raise _invalid_field("model", "must be the name of a model", model)
    if version is not None and (type(version) is not int or not 1 <= version <= 999_999_999):
        raise _invalid_field("version", "must be a whole number from 1", version)
    if plain and body.count(b'"') != 2 * (len(document) + (model is not None) + _names(instances)):
        precise_json.parse(body)  # more quotes than names: a duplicate name (refused there), an escape or a string
    return PredictRequest(model, version, instances, plain)


def read_rows(request: PredictRequest, contract: Contract) -> Float32:
    """Return the rows in feature order, float32, shape (N, F), all finite.

    Args:
        request: request whose rows are arrays in feature order or objects by feature name, in any mixture.
        contract: schema of the model.

    Raises:
        InvalidInput: if a row is invalid; names row and feature of the first problems.
    """
    rows = _rows_if_good(request.instances, contract) if request.plain else None
    return precise_json.rows(request.instances, contract) if rows is None else rows


def plain_rows(document: bytes, contract: Contract) -> Float32 | None:
    """Return the rows of a JSON array of rows, float32, shape (N, F); None if anything is unusual."""
    if _may_hold_booleans(document):
        return None
    try:
        instances = orjson.loads(document)
    except orjson.JSONDecodeError:
        return None
    if not instances or document.count(b'"') != 2 * _names(instances):
        return None
    return _rows_if_good(instances, contract)


def row_blocks(body: bytes, contract: Contract) -> Iterator[Float32]:
    """Yield the rows of a large request in blocks, float32, shape (n, F), so that other work can run in between.

    Raises:
        Unusual: if anything is not plain, such as a `model` or `version` field; possibly after some blocks.
    """
    head, tail = _HEAD.match(body), body.rfind(b"]")
    if head is None or _TAIL.fullmatch(body, tail) is None:
        raise Unusual
    place, end, closing = head.end(), len(body[:tail].rstrip()), _CLOSING[body[head.end()]]
    while True:
        stop = body.find(closing, min(place + BLOCK_BYTES, end - 1), end) + 1
        few = stop - place <= precise_json.MOST_AT_ONCE_BYTES
        rows = plain_rows(b"[%b]" % body[place:stop], contract) if stop and few else None
        if rows is None:
            raise Unusual
        yield rows
        if stop == end:
            return
        comma = _COMMA.match(body, stop, end)
        if comma is None:
            raise Unusual
        place = comma.end()


def _may_hold_booleans(body: bytes) -> bool:
    return b"true" in body or b"false" in body


def _names(instances: list[Any]) -> int:
    """Return the number of names in the rows if these are well-formed."""
    return sum(len(row) for row in instances if type(row) is dict) if type(instances[0]) is dict else 0


def _rows_if_good(instances: list[Any], contract: Contract) -> Float32 | None:
    """Return the rows, or None if any of them is not well-formed."""
    features = len(contract.features)
    values: Iterable[float]
    if len(instances) == 1 and type(instances[0]) is list and len(instances[0]) == features:
        x = packed(instances[0], features)
        return None if x is None else x.reshape(1, features)
    kinds = set(map(type, instances))
    if kinds == {list} and set(map(len, instances)) == {features}:
        values = itertools.chain.from_iterable(instances)
    elif kinds == {dict} and all(row.keys() == contract.columns.keys() for row in instances):
        values = itertools.chain.from_iterable(map(_picker(contract), instances))
    else:
        return None
    x = packed(values, len(instances) * features)
    return None if x is None else x.reshape(-1, features)  # (N, F)


@functools.lru_cache(maxsize=256)
def _picker(contract: Contract) -> Callable[[dict[str, float]], Sequence[float]]:
    if len(contract.features) == 1:
        return lambda row: (row[contract.features[0]],)
    return operator.itemgetter(*contract.features)


def _invalid_envelope(document: object) -> InvalidInput:
    if not isinstance(document, dict):
        kind = precise_json.type_name(document)
        return InvalidInput(f'the body must be an object such as {{"instances": [[...], ...]}}, got {kind}')
    problems: list[Problem] = []
    for position, name in enumerate(document, start=1):
        if name not in _FIELDS and len(problems) < MAX_PROBLEMS:
            label, problem = wording.unknown(name, position, _NAMES)
            problems.append(Problem(None, label, problem))
    return InvalidInput(f"{problems[0].feature or 'the body'}: {problems[0].problem}", tuple(problems))


def _invalid_field(field: str, expected: str, got: object) -> InvalidInput:
    kind = "an empty array" if got == [] else "nothing" if got is None else precise_json.type_name(got)
    problem = f"{expected}, got {kind}"
    return InvalidInput(f"{field} {problem}", (Problem(None, field, problem),))
