"""Text written as the training file: UTF-16, cp1252, backslashes before quotes, any cut."""

from __future__ import annotations

import pytest

from app.errors import MalformedBody
from app.inference.codecs.csv_text import TrainedText
from modelstore import Dialect
from modelstore.dialect import USUAL

CITIES = 'city,n\n"K\u00f6ln \u20ac",1\nZ\u00fcrich,2\n'
CP1252, UTF_16 = Dialect(encoding="cp1252"), Dialect(encoding="utf-16")
ESCAPED = Dialect(escape="\\")


def read(dialect: Dialect, body: bytes, step: int) -> str:
    text = TrainedText(dialect.or_else(USUAL))
    pieces = [text.feed(body[start : start + step]) for start in range(0, len(body), step)]
    return (b"".join(pieces) + text.finish()).decode()


@pytest.mark.parametrize(
    ("dialect", "body", "expected"),
    [
        (CP1252, CITIES.encode("cp1252"), CITIES),
        (CP1252, CITIES.encode(), CITIES),
        (CP1252, b"\x81", "\x81"),
        (UTF_16, CITIES.encode("utf-16"), CITIES),
        (UTF_16, b"\xfe\xff" + CITIES.encode("utf-16-be"), CITIES),
        (UTF_16, CITIES.encode(), CITIES),
        (UTF_16, b"a", "a"),
        (ESCAPED, b'"a \\"b\\"",1\nc\\,2\\', '"a ""b""",1\nc\\,2\\'),
        (ESCAPED.or_else(UTF_16), '"\\"\u00e9"'.encode("utf-16"), '"""\u00e9"'),
        (Dialect(quote="'", escape="\\"), b"'it\\'s'", "'it''s'"),
    ],
)
def test_text_is_the_same_wherever_the_body_is_cut(dialect: Dialect, body: bytes, expected: str) -> None:
    assert {read(dialect, body, step) for step in range(1, len(body) + 1)} == {expected}


def test_half_a_character_of_utf_16_is_refused_and_other_bytes_are_left_to_their_line() -> None:
    with pytest.raises(MalformedBody, match="is not CSV in UTF-8"):
        read(UTF_16, b"\xff\xfea", 2)

    text = TrainedText(UTF_16)
    assert text.feed(b"a\xff\n") + text.finish() == b"a\xff\n"


def test_usual_files_need_nothing() -> None:
    assert not TrainedText.is_unusual(USUAL)
    assert all(map(TrainedText.is_unusual, (CP1252, UTF_16, ESCAPED)))
