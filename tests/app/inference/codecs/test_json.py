"""The two JSON readers agree, and what is written is JSON in the strict sense."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from app.errors import InvalidInput, MalformedBody
from app.inference.codecs.blocks import Unusual
from app.inference.codecs.json import BLOCK_BYTES, read_request, read_rows, row_blocks
from app.inference.codecs.json_rows import precise_rows
from app.inference.codecs.ndjson import ndjson_reader
from app.inference.codecs.strict_json import MOST_AT_ONCE_BYTES, parse
from app.schema import Float32, ModelSchema
from modelstore import CategoricalFeature
from tests.app import tables
from tests.app.tables import schema_of
from tests.properties import examples

FLOAT32_MAX = float(np.finfo(np.float32).max)
NAMES = ("left", 'the "right"', "ünder 100 %")


CONTRACT = schema_of(NAMES)


def read(body: bytes) -> Float32:
    """Read as the service does: fast if possible."""
    return read_rows(read_request(body), CONTRACT)


def read_precisely(body: bytes) -> Float32:
    return precise_rows(parse(body)["instances"], CONTRACT)


def outcome(reader: Any, body: bytes) -> str | bytes:
    """Return the bits of the rows, or the kind of refusal."""
    try:
        rows: Float32 = reader(body)
    except (InvalidInput, MalformedBody) as error:
        return type(error).__name__
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    return rows.tobytes()


def decimals() -> st.SearchStrategy[str]:
    """Return numbers as people and programs write them: any digits, any exponent near float32's range."""
    return st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "-"]),
        st.integers(0, 10**25),
        st.one_of(st.just(""), st.integers(0, 10**25).map(".{}".format)),
        st.one_of(st.just(""), st.integers(-60, 12).map("e{:+d}".format), st.integers(-60, 12).map("E{}".format)),
    )


numbers = st.one_of(
    decimals(),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
    st.sampled_from(
        ["0", "-0", "-0.0", "1e-50", "3.4028235677973366e38", "3.40282356779733642748e38", str(FLOAT32_MAX)]
    ),
)
arrays = st.lists(numbers, min_size=3, max_size=3).map(lambda values: f"[{', '.join(values)}]")
objects = st.tuples(st.permutations(NAMES), st.lists(numbers, min_size=3, max_size=3)).map(
    lambda pair: "{" + ", ".join(f"{json.dumps(n)}: {v}" for n, v in zip(*pair, strict=True)) + "}"
)
good_rows = st.one_of(
    st.lists(arrays, min_size=1), st.lists(objects, min_size=1), st.lists(arrays | objects, min_size=1)
)


@examples(50)
@hypothesis.given(good_rows)
def test_both_readers_read_the_same_bits(rows: list[str]) -> None:
    body = f'{{"instances": [{", ".join(rows)}]}}'.encode()

    assert outcome(read, body) == outcome(read_precisely, body)


@examples(50)
@hypothesis.given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_float32_values_are_read_as_they_are(row: list[float]) -> None:
    body = json.dumps({"instances": [row]}).encode()

    assert outcome(read, body) == np.array([row], dtype=np.float32).tobytes()


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from((*NAMES, "instances")),
    ),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), children, max_size=4),
    ),
    max_leaves=12,
)
almost_rows = st.lists(
    st.lists(st.floats() | st.integers() | junk, min_size=2, max_size=4)
    | st.fixed_dictionaries(dict.fromkeys(NAMES, st.floats() | st.integers() | junk))
    | junk,
    min_size=1,
    max_size=4,
)


@pytest.mark.slow
@examples(170)
@hypothesis.given(almost_rows)
def test_both_readers_accept_the_same_documents(instances: list[Any]) -> None:
    body = json.dumps({"instances": instances}).encode()

    assert outcome(read, body) == outcome(read_precisely, body)


@examples(50)
@hypothesis.given(st.one_of(junk.map(lambda value: json.dumps(value).encode()), st.binary(max_size=40)))
def test_any_other_body_is_refused_and_nothing_else_happens(body: bytes) -> None:
    assert outcome(read, body) in {"InvalidInput", "MalformedBody"}


def twice(key: str, rest: str) -> bytes:
    return f'{{"instances": [{{{key}: 1, {rest}, {key}: 2}}]}}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        twice('"left"', '"the \\"right\\"": 1, "ünder 100 %": 1'),
        b'{"instances": [[1, 2, 3]], "instances": [[1, 2, 3]]}',
        b'{"instances": [[1, 2, 3]], "model": "a", "model": "a"}',
        b'{"instances": [[1, 2, 3]], "version": 1, "version": 1}',
        b'{"instances": [[1, 2, 3]], "\\u0069nstances": [[1, 2, 3]]}',
    ],
)
def test_a_name_twice_is_refused_by_both(body: bytes) -> None:
    assert outcome(read, body) == outcome(read_precisely, body) == "MalformedBody"


@pytest.mark.parametrize("value", ["true", "false"])
def test_booleans_are_no_numbers_wherever_they_stand(value: str) -> None:
    for row in (f"[{value}, 1, 2]", f"[1, 2, {value}]", f'{{"left": {value}, "the \\"right\\"": 1, "ünder 100 %": 1}}'):
        assert outcome(read, f'{{"instances": [{row}]}}'.encode()) == "InvalidInput"


def test_feature_named_true_is_read_like_any_other() -> None:
    schema = schema_of(("true", "false"))
    body = b'{"instances": [{"false": 2, "true": 1}]}'

    assert read_rows(read_request(body), schema).tolist() == [[1, 2]]


def test_one_feature_is_enough() -> None:
    schema = schema_of(("only",))

    for body in (b'{"instances": [[1], [2]]}', b'{"instances": [{"only": 1}, {"only": 2}]}'):
        assert read_rows(read_request(body), schema).tolist() == [[1], [2]]


PLAIN = schema_of(("a", "b", "c"))


def large(named: bool, space: str = "") -> bytes:
    """Return a request of several blocks; an escape in a name would not be plain."""
    values = np.random.default_rng(5).normal(0, 1e3, (2000, 3)).astype(np.float32).tolist()
    rows = [dict(zip(PLAIN.features, row, strict=True)) for row in values] if named else values
    listed = f"{space},{space}".join(json.dumps(row) for row in rows)
    body = f'{space}{{{space}"instances"{space}:{space}[{space}{listed}{space}]{space}}}{space}'.encode()
    assert len(body) > 4 * BLOCK_BYTES
    return body


@pytest.mark.parametrize("space", ["", " ", "\r\n\t"], ids=["no space", "space", "line ends"])
@pytest.mark.parametrize("named", [False, True], ids=["by position", "by name"])
def test_large_request_gives_the_same_bits_in_blocks(named: bool, space: str) -> None:
    body = large(named, space)

    blocks = list(row_blocks(body, PLAIN))

    assert len(blocks) > 3
    assert np.concatenate(blocks).tobytes() == precise_rows(parse(body)["instances"], PLAIN).tobytes()


UNUSUAL = {
    "a boolean at the end": (b"]]}", b"], [1, 2, true]]}"),
    "a wide row at the end": (b"]]}", b"], [1, 2, 3, 4]]}"),
    "a comma too many": (b"]]}", b"],]}"),
    "a comma too few": (b"]]}", b"] [1, 2, 3]]}"),
    "NaN at the end": (b"]]}", b"], [1, 2, NaN]]}"),
    "beyond float32 at the end": (b"]]}", b"], [1, 2, 1e39]]}"),
    "something after the end": (b"]]}", b"]]} x"),
    "a model after the rows": (b"]]}", b']], "model": "means"}'),
    "a model before the rows": (b'{"instances"', b'{"model": "means", "instances"'),
    "cut off": (b"]]}", b"]"),
}


@pytest.mark.parametrize(("old", "new"), UNUSUAL.values(), ids=UNUSUAL.keys())
def test_large_request_that_is_unusual_in_any_way_is_left_to_the_other_reader(old: bytes, new: bytes) -> None:
    body = large(named=False)
    assert body.count(old) == 1

    with pytest.raises(Unusual):
        list(row_blocks(body.replace(old, new), PLAIN))


LONG = ("12345678901234567890123", "-9223372036854775809", "18446744073709551616")
"""Categories whose digits a float does not hold."""

LONG_SCHEMA = ModelSchema.of_features(
    "m", 1, [CategoricalFeature(name="code", categories=dict.fromkeys(LONG, 9))], ("a", "b")
)


@pytest.mark.parametrize("code", [0, 1, 2])
@pytest.mark.parametrize(
    "form",
    [
        '{"instances": [[%s]]}',
        '{"instances": [{"code": %s}]}',
        '{"instances": [{"code": %s}, ["x"]]}',
        '{"columns": ["code"], "data": [[%s]]}',
        '{"inputs": {"code": [%s]}}',
    ],
)
def test_a_long_number_is_its_category_however_large_the_body_is(form: str, code: int) -> None:
    body = (form % LONG[code]).encode()

    for text in (body, body + b" " * MOST_AT_ONCE_BYTES):
        assert read_rows(read_request(text), LONG_SCHEMA)[0].tolist() == [code]


def test_a_long_number_is_its_category_whatever_stands_beside_it() -> None:
    for other in ("[1]", "[{}]", '["x"]', f"[{LONG[1]}]"):
        cells, _ = tables.read(ndjson_reader(LONG_SCHEMA), f"[{LONG[0]}]\n{other}\n".encode())
        assert cells[0] == [0], other


def test_a_long_number_in_a_large_request_leaves_it_to_the_other_reader() -> None:
    body = f'{{"instances": [{", ".join(["[1]"] * BLOCK_BYTES)}, [{LONG[0]}]]}}'.encode()

    with pytest.raises(Unusual):
        list(row_blocks(body, LONG_SCHEMA))
    assert read_rows(read_request(body), LONG_SCHEMA)[-1].tolist() == [0]


def test_a_number_that_is_written_as_a_float_is_the_category_of_its_value() -> None:
    schema = ModelSchema.of_features("m", 1, [CategoricalFeature(name="code", categories={"1" + "0" * 20: 9})], ("a",))

    for written in ("1e20", "100000000000000000000.0", "1" + "0" * 20):
        assert read_rows(read_request(f'{{"instances": [[{written}]]}}'.encode()), schema).tolist() == [[0]]


@pytest.mark.parametrize("own", ["18446744073709551617", "-9223372036854775809"])
def test_an_id_of_many_digits_keeps_them_however_large_the_body_is(own: str) -> None:
    body = f'{{"instances": [[1, 2, 3]], "ids": [{own}]}}'.encode()

    for text in (body, body + b" " * MOST_AT_ONCE_BYTES):
        options = read_request(text).options
        assert options is not None
        assert options.ids == (own,)
    for wrong in (b"1.5", b"NaN", b"Infinity"):
        with pytest.raises(InvalidInput, match=r"^ids\.0: must be a text"):
            read_request(body.replace(own.encode(), wrong))
