"""Text of files in pieces of whole lines."""

from __future__ import annotations

import gzip
import io

import pytest

from training.data.faults import Faults
from training.data.pieces import Pieces

TEXT = "größe,k\n1,a\n2,b\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), None),
        (b"\xef\xbb\xbf" + TEXT.encode(), None),
        (TEXT.encode("utf-16"), "utf-16"),
        (TEXT.encode("cp1252"), "cp1252"),
        (gzip.compress(TEXT.encode()), None),
    ],
    ids=["UTF-8", "mark", "UTF-16", "cp1252", "gzip"],
)
def test_text_is_the_same_whatever_its_encoding(content: bytes, encoding: str | None) -> None:
    pieces, faults = Pieces(io.BytesIO(content), other := Faults()), other

    assert pieces.next().decode() == TEXT
    assert (pieces.encoding, bool(faults), bool(pieces.notes)) == (encoding, False, encoding == "cp1252")


def test_bytes_that_are_no_utf8_after_text_that_was_are_a_fault_with_their_line() -> None:
    pieces, faults = Pieces(io.BytesIO(b"a,b\n1,\xff\n"), other := Faults(), "utf-8"), other

    assert pieces.next() == b""
    assert faults.sorted()[0].line == 2
