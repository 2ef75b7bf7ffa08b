"""Strict JSON: what is refused, with its place, and when a lenient parser may be trusted."""

from __future__ import annotations

import json
import math

import hypothesis
import orjson
import pytest
from hypothesis import strategies as st

from app.errors import MalformedBody
from app.inference.codecs.strict_json import MAX_DEPTH, DigitsLost, has_unique_names, parse, parse_line, require_digits
from tests.properties import examples


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


TWICE = "an object has the same name twice; say each name once"
REFUSED = {
    "empty": (b"", "the body is not JSON: expecting value at line 1 column 1"),
    "cut off": (b'{"a":\n1', "the body is not JSON: expecting ',' delimiter at line 2 column 2"),
    "not UTF-8": (b'"ab\xff"', "the body must be UTF-8, byte 3 is not"),
    "too deep": (nested(MAX_DEPTH + 2), "the body is nested too deeply; rows are arrays or objects of numbers"),
    "much too deep": (nested(100_000), "the body is nested too deeply; rows are arrays or objects of numbers"),
    "a name twice": (b'{"a": 1, "a": 1}', TWICE),
    "a name twice inside": (
        b'[{"b": {"a": 1, "\\u0061": 2}}]',
        "an object has the same name twice; say each name once",
    ),
}


@pytest.mark.parametrize(("body", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_strict_json_is_refused_in_words(body: bytes, problem: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse(body)

    assert str(refused.value) == problem


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": 1', "is not JSON: expecting ',' delimiter at column 8"),
        (b'{"a', "is not JSON: unterminated string starting at column 2"),
        (b'"ab\xff"', "must be UTF-8, byte 3 is not"),
        (nested(MAX_DEPTH + 2), "is nested too deeply; rows are arrays or objects of numbers"),
        (b'{"a": 1, "a": 1}', TWICE),
    ],
)
def test_a_line_is_refused_in_words_that_follow_its_number(line: bytes, problem: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        parse_line(line)

    assert str(refused.value) == problem


def test_deepest_nesting_is_accepted() -> None:
    parse(nested(MAX_DEPTH + 1))


def test_constants_and_very_long_integers_are_numbers() -> None:
    found = parse(b"[NaN, -Infinity, 1" + b"0" * 5000 + b"]")

    assert math.isnan(found[0])
    assert found[1:] == [-math.inf, math.inf]


def test_a_float_beyond_64_bits_may_lack_digits_unless_it_was_parsed_strictly() -> None:
    text = b"[18446744073709551616, -9223372036854775809, 1e20, " + b"9" * 50 + b", 1e308]"

    for lossy in orjson.loads(text):
        with pytest.raises(DigitsLost):
            require_digits(lossy)
    found = parse(text)
    assert (set(map(type, found)), found[:3]) == ({int}, [2**64, -(2**63) - 1, 10**20])
    for value in (*found, *parse(b"[1.5, 18446744073709549568.0, 18446744073709551615, NaN, Infinity]"), "x", None):
        require_digits(value)


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3),
    max_leaves=10,
)


def strings_in(document: object) -> int:
    if isinstance(document, dict):
        return len(document) + sum(map(strings_in, document.values()))
    return sum(map(strings_in, document)) if isinstance(document, list) else isinstance(document, str)


@examples(70)
@hypothesis.given(documents, st.booleans())
def test_document_whose_quotes_add_up_is_what_the_strict_parser_reads(document: object, repeat: bool) -> None:
    text = json.dumps(document).encode()
    if repeat:
        text = b'{"a":%b,"a":%b}' % (text, text)
    read = orjson.loads(text)

    if has_unique_names(text, strings_in(read)):
        assert parse(text) == read
    else:
        assert repeat or b"\\" in text


def test_only_the_document_within_a_longer_text_counts() -> None:
    text = b'"""{"a": 1}"'

    assert has_unique_names(text, 1, 3, len(text) - 1)
    assert not has_unique_names(text, 1)
