"""Text of files in pieces of whole lines."""

from __future__ import annotations

import gzip
import io
import math
from pathlib import Path

import pandas as pd
import pytest

from modelstore import Dialect
from training.data import pieces
from training.data.faults import Faults
from training.data.pieces import Pieces, count_rows

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


ROWS = 30_000
TABLE = "a,b\n" + "".join(f"{row},{row % 7}\n" for row in range(ROWS))


@pytest.mark.parametrize(
    "content",
    [TABLE.encode(), gzip.compress(TABLE.encode()), TABLE.encode("utf-16"), gzip.compress(TABLE.encode("utf-16"))],
    ids=["UTF-8", "gzip", "UTF-16", "UTF-16 in gzip"],
)
def test_rows_are_counted_whatever_the_encoding_and_packing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table").write_bytes(content)

    assert count_rows(tmp_path / "table", math.inf) == ROWS
    assert count_rows(tmp_path / "table", math.inf, Dialect(header=False)) == ROWS + 1
    assert count_rows(tmp_path / "table", math.inf, Dialect(skip_rows=2, skip_footer=1)) == ROWS - 3


def test_rows_of_a_parquet_file_are_counted(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(ROWS), "b": "x"})
    frame.to_parquet(tmp_path / "table.parquet")

    assert count_rows(tmp_path / "table.parquet", math.inf) == ROWS


def test_rows_are_counted_no_further_than_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "FIRST_BYTES", 1 << 10)
    monkeypatch.setattr(pieces, "BLOCK_BYTES", 1 << 10)
    (tmp_path / "table.csv").write_text(TABLE)

    assert 1_000 < count_rows(tmp_path / "table.csv", 1_000) < 1_500
