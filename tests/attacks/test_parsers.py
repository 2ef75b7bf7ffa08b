"""All parsers of foreign text, given damaged and invented bytes: a known refusal, or sense.

Good bodies are damaged here and there, which gets deeper into a parser than noise does; noise is tried as well. The
long form (TABSERVE_FAULTS=long) tries fifty times as often.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import hypothesis
import numpy as np
import pydantic
import pytest
from hypothesis import strategies as st
from starlette.requests import Request

from app.api.bodies import declared_length, media_type
from app.api.preferences import MAX_WAIT_S, read_idempotency_key, read_last_event_id, read_preferred_wait_s
from app.context import RequestContext
from app.errors import InvalidInput, MalformedBody
from app.inference.codecs import formats, oip_blocks, strict_json
from app.inference.codecs import json as json_codec
from app.inference.codecs.blocks import Unusual
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.oip import InferBody, read_request
from app.inference.codecs.oip_tensors import read_rows
from app.schema import Float32
from app.security.admission import TIMEOUT_HEADER, enforce_deadline
from app.security.errors import MalformedRequest
from app.security.keys import KeyFile, Scope, UnreadableKeys
from modelstore import Manifest
from tests.app.oip import SPELLINGS, as_flat, as_nested
from tests.app.tables import BODIES, IDS, JSON, STREAMED, outcome, rows, schema_of
from tests.fakes import MeanModel, manifest_for, script
from tests.faults.scenes import rounds
from tests.promises import Measured
from tests.properties import TIMES_LONGER, examples

pytestmark = pytest.mark.slow

FEATURES = ("left", 'the "right"', "ünder 100 %")
CONTRACT = schema_of(FEATURES)
REFUSALS = (InvalidInput, MalformedBody)
PARSERS = 16

# Typical causes of parser errors: quotes, brackets, ends of lines and strings, invalid numbers, depth, bytes that are
# not text.
TOKENS = [
    *(b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"\n", b"\r", b"\x00", b"-", b".", b"e", b"null", b"true"),
    *(b"NaN", b"-Infinity", b"1e999", b"1e39", b"-0.0", b"5e-324", b"9" * 400, b"\\ud800", b"\xff", b"\xef\xbb\xbf"),
    *(b"[" * 20, b'{"a":' * 20, b'"instances"', b'"shape"', b"[0]", b"[-1]", b"[18446744073709551616]", b"\xff" * 8),
]


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Return good bytes with parts overwritten, left out, doubled, or put in; cut off at times."""
    body = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        stop = min(len(body), start + draw(st.sampled_from([0, 0, 1, 2, 8, 64])))
        new = draw(st.binary(max_size=6) | st.sampled_from(TOKENS) | st.just(bytes(body[start:stop]) * 2))
        body[start:stop] = new
    return bytes(body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 4)) == 0 else body)


def sensible(x: Float32) -> bool:
    return x.dtype == np.float32 and x.ndim == 2 and x.shape[1] == len(FEATURES) and bool(np.isfinite(x).all())


@pytest.mark.parametrize("kind", STREAMED, ids=IDS.get)
@examples(50)
@hypothesis.given(st.data())
def test_a_stream_means_the_same_wherever_it_is_cut_or_is_refused(kind: str, data: st.DataObject) -> None:
    good = BODIES[kind](rows(data.draw(st.sampled_from([1, 3, 40])), 3), ["a", "b", "c"])
    schema = schema_of(("a", "b", "c"))
    body = data.draw(damaged(good) | st.binary(max_size=60))
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    options = BulkOptions(ignore_extra=data.draw(st.booleans()))

    whole, cut = (outcome(formats.readers()[kind](schema, options), body, step) for step in (None, cuts))

    assert whole == cut


def read_json(body: bytes) -> Float32 | type[Exception]:
    try:
        return json_codec.read_rows(json_codec.read_request(body), CONTRACT)
    except REFUSALS as error:
        return type(error)


@examples(100)
@hypothesis.given(st.data())
def test_a_json_body_is_rows_or_refused(data: st.DataObject) -> None:
    good = BODIES[JSON](rows(3, 3), FEATURES)
    named = json.dumps({"instances": [dict(zip(FEATURES, row, strict=True)) for row in rows(2, 3).tolist()]}).encode()
    found = read_json(data.draw(damaged(data.draw(st.sampled_from([good, named]))) | st.binary(max_size=60)))

    assert found in REFUSALS if isinstance(found, type) else sensible(found)


@examples(20)
@hypothesis.given(st.data())
def test_a_large_json_body_read_in_blocks_is_what_it_is_as_a_whole(data: st.DataObject) -> None:
    body = data.draw(damaged(BODIES[JSON](rows(700, 3), FEATURES)))
    try:
        blocks = np.concatenate(list(json_codec.row_blocks(body, CONTRACT)))
    except Unusual:
        return

    whole = read_json(body)

    assert not isinstance(whole, type)
    assert blocks.tobytes() == whole.tobytes()


def read_tensors(body: InferBody) -> Float32 | type[Exception]:
    try:
        return read_rows(read_request(body), CONTRACT)
    except REFUSALS as error:
        return type(error)


@pytest.mark.parametrize("spelling", SPELLINGS)
@examples(35)
@hypothesis.given(st.data())
def test_an_inference_request_is_rows_or_refused(spelling: str, data: st.DataObject) -> None:
    good = SPELLINGS[spelling](rows(3, 3), FEATURES)
    body = data.draw(damaged(bytes(good.data[good.start :])))
    said = data.draw(st.just(good.json_bytes) | st.none() | st.integers(0, 2 * len(body)))

    found = read_tensors(InferBody(bytearray(bytes(good.start) + body), good.start, said))

    assert found in REFUSALS if isinstance(found, type) else sensible(found)


@pytest.mark.parametrize("spell", [as_flat, as_nested], ids=["flat", "nested"])
@examples(20)
@hypothesis.given(st.data())
def test_a_large_tensor_read_in_blocks_is_what_it_is_as_a_whole(spell: object, data: st.DataObject) -> None:
    assert callable(spell)
    body = InferBody(bytearray(data.draw(damaged(bytes(spell(rows(700, 3), FEATURES).data)))))
    try:
        request, values = oip_blocks.split(body)
        blocks = np.concatenate(list(oip_blocks.blocks(request, values, CONTRACT)))
    except (Unusual, *REFUSALS):
        return

    whole = read_tensors(body)

    assert not isinstance(whole, type)
    assert blocks.tobytes() == whole.tobytes()


@examples(100)
@hypothesis.given(st.data())
def test_json_is_parsed_as_pythons_own_parser_does_or_refused(data: st.DataObject) -> None:
    good = b'{"a": [1, -2.5e3, "x\\u00e9", null, true, {"b": []}], "c": "\xc3\xa9"}'
    body = data.draw(damaged(good) | st.binary(max_size=40))
    try:
        found = strict_json.parse(body)
    except MalformedBody:
        return

    expected = json.loads(body, parse_int=lambda digits: float(digits) or 0.0)  # there is no whole number -0
    assert repr(in_floats(found)) == repr(expected)


def in_floats(found: object) -> object:
    """Return a document with its whole numbers as floats; very long ones are read as floats anyway."""
    if isinstance(found, dict):
        return {name: in_floats(value) for name, value in found.items()}
    if isinstance(found, list):
        return list(map(in_floats, found))
    return float(found) if type(found) is int else found


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    model = MeanModel(2, 0.0)
    return manifest_for(model, script(model))


@examples(50)
@hypothesis.given(st.data())
def test_a_manifest_is_whole_or_refused(manifest: Manifest, data: st.DataObject) -> None:
    body = data.draw(damaged(manifest.to_json()) | st.binary(max_size=60))
    try:
        found = Manifest.from_json(body)
    except pydantic.ValidationError:
        return

    assert Manifest.from_json(found.to_json()) == found


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    for scope in Scope:
        KeyFile(path).create(frozenset((scope,)), None, scope)
    return path


@examples(50)
@hypothesis.given(st.data())
def test_a_key_file_holds_keys_or_is_refused(key_file: Path, data: st.DataObject) -> None:
    body = data.draw(damaged(key_file.read_bytes()) | st.binary(max_size=60))
    spoilt = key_file.with_name("spoilt.json")
    spoilt.unlink(missing_ok=True)
    with os.fdopen(os.open(spoilt, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(body)
    try:
        keys = KeyFile(spoilt).read()
    except UnreadableKeys:
        return

    assert keys
    assert all(key.scopes and len(key.sha256) == 64 for key in keys)


headers = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=30) | st.builds(
    "{}{}{}".format, st.sampled_from(["wait=", "Wait = ", "", "respond-async, wait="]), st.integers(), st.text("; ,=9")
)


@examples(100)
@hypothesis.given(st.lists(headers, max_size=3))
def test_headers_mean_something_or_nothing(values: list[str]) -> None:
    named = ("prefer", "idempotency-key", "last-event-id", "content-length", "content-type")
    sent = [(name.encode(), value.encode("latin-1")) for name in named for value in values]
    request = Request({"type": "http", "headers": sent})

    assert 0 <= read_preferred_wait_s(request) <= MAX_WAIT_S
    assert 0 <= read_last_event_id(request) < 10**18
    assert (declared_length(request) or 0) < 10**18
    assert not set(media_type(request.headers.get("content-type"))) & set(";,")
    try:
        key = read_idempotency_key(request)
    except InvalidInput:
        return
    assert key is None or (key.isascii() and key.isprintable() and " " not in key)


@examples(50)
@hypothesis.given(headers | st.integers().map(str))
def test_a_timeout_is_milliseconds_or_refused(value: str) -> None:
    async def enter() -> None:
        async with enforce_deadline(RequestContext(), {TIMEOUT_HEADER: value.encode("latin-1")}, None):
            pass

    is_time = value.isascii() and value.isdecimal() and value[0] != "0" and len(value) <= 9
    if is_time:
        asyncio.run(enter())
    else:
        with pytest.raises(MalformedRequest):
            asyncio.run(enter())


def test_so_much_was_tried(request: pytest.FixtureRequest, measured: Measured) -> None:
    """S-27; it is the last one here."""
    tried = rounds(1, TIMES_LONGER) * (4 * 50 + 100 + 20 + 7 * 35 + 2 * 20 + 100 + 50 + 50 + 100 + 50)
    if not request.session.testsfailed:
        measured(
            "S-27", f"{tried:,} damaged or made-up inputs to {PARSERS} parsers: refused, or the same cut and whole"
        )
