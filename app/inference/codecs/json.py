"""JSON to float32 rows and probabilities to JSON; it must not know torch, HTTP or which version serves.

Two readers: a fast one for input as it should be, and a precise one that is asked only when the fast one balks. The
precise one decides what is an error and says where, so both accept the same rows with the same bits.
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
# About 500 rows of four features: a fifth of a millisecond to parse, so that other requests get their turn.
BLOCK_BYTES = 12 << 10

_NAMES = ("instances", "model", "version")
_FIELDS = frozenset(_NAMES)
_HEAD = re.compile(rb'\s*\{\s*"instances"\s*:\s*\[\s*(?=[\[{])')
_TAIL = re.compile(rb"\s*\]\s*\}\s*")
_COMMA = re.compile(rb"\s*,\s*")
_CLOSING = {ord("["): b"]", ord("{"): b"}"}


class Unusual(Exception):
    """The body is not as plain as `row_blocks` wants it; `read_request` decides what it is."""


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """The envelope of a prediction request, its rows not looked at yet.

    Attributes:
        plain: whether the fast parser took the body and no value in it is a boolean, so that rows may be read fast.
    """

    model: str | None
    version: int | None
    instances: list[Any]
    plain: bool


def example_body(rows: Sequence[Sequence[float]]) -> bytes:
    """Return a request with these rows."""
    return orjson.dumps({"instances": rows})


def read_request(body: bytes) -> PredictRequest:
    """Read the envelope `{"instances": [...], "model": "...", "version": 3}`; the last two are optional.

    Raises:
        MalformedBody: if the body is not JSON.
        InvalidInput: if a field is missing, unknown, there twice, or of the wrong type.
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
        precise_json.parse(body)  # more quotes than names: a name twice (refused there), an escape, or text as a value
    return PredictRequest(model, version, instances, plain)


def read_rows(request: PredictRequest, contract: Contract) -> Float32:
    """Return the rows in feature order, float32, shape (N, F), all finite.

    Args:
        request: its rows are arrays in feature order or objects by feature name, in any mixture.
        contract: what the model expects.

    Raises:
        InvalidInput: naming row and feature of the first faults.
    """
    rows = _rows_if_good(request.instances, contract) if request.plain else None
    return precise_json.rows(request.instances, contract) if rows is None else rows


def plain_rows(document: bytes, contract: Contract) -> Float32 | None:
    """Return the rows of a JSON array of rows, float32, shape (N, F); None if anything about it is unusual."""
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
    """Yield the rows of a large request in blocks, float32, shape (n, F), so that nothing waits for the whole.

    Raises:
        Unusual: if anything is not plain, `model` and `version` fields included; possibly after some blocks.
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
    """Return how many names the rows hold if they are good."""
    return sum(len(row) for row in instances if type(row) is dict) if type(instances[0]) is dict else 0


def _rows_if_good(instances: list[Any], contract: Contract) -> Float32 | None:
    """Return the rows, or None if anything about them is not as it should be."""
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
