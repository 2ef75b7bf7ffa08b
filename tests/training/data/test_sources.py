"""Bytes of data files: hashed, unpacked, recoded, and named where they are no table."""

from __future__ import annotations

import gzip
import hashlib
import io

import pytest

from training.data import sources
from training.data.sources import HashedFile, Recoded, Source, Unpacked, name_format, name_markup

TEXT = "größe,kind\n1.5,a\n" * 5000


def everything(source: Source, size: int) -> bytes:
    return b"".join(iter(lambda: source.read(size), b""))


@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_bytes_are_hashed_once_whether_peeked_at_or_read_whole(size: int) -> None:
    content = TEXT.encode()
    file = HashedFile(io.BytesIO(content))

    assert content.startswith(file.peek())
    assert everything(file, size) == content
    assert file.sha256() == hashlib.sha256(content).hexdigest()
    other = HashedFile(io.BytesIO(content))
    other.peek()
    assert other.whole().read() == content
    assert other.sha256() == file.sha256()


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize("members", [1, 3])
def test_gzip_is_unpacked_with_all_its_members(size: int, members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", 37)
    source = Unpacked(HashedFile(io.BytesIO(gzip.compress(TEXT.encode()) * members)))

    assert everything(source, size) == TEXT.encode() * members
    assert source.problem == ""


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (gzip.compress(TEXT.encode())[:-30], "ends too early"),
        (gzip.compress(TEXT.encode())[:-3], "ends too early"),
        (gzip.compress(TEXT.encode()) + b"more", "is damaged"),
        (gzip.compress(TEXT.encode())[:40] + b"\xff" * 300, "is damaged"),
    ],
    ids=["cut", "cut in the check sum", "something behind it", "damaged"],
)
def test_damaged_gzip_ends_with_a_problem(packed: bytes, problem: str) -> None:
    source = Unpacked(HashedFile(io.BytesIO(packed)))

    everything(source, 1 << 20)

    assert problem in source.problem


def test_gzip_that_unpacks_to_far_more_than_its_size_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "FREE_BYTES", 1 << 20)
    source = Unpacked(HashedFile(io.BytesIO(gzip.compress(b"0,0\n" * (4 << 20)))))

    assert len(everything(source, 1 << 18)) < 5 << 20
    assert "more than 250 times its size" in source.problem


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("size", [3, 1 << 20])
def test_utf16_is_recoded_by_its_mark(encoding: str, size: int) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    source = Recoded(HashedFile(io.BytesIO((mark + TEXT[:500]).encode(encoding))))

    assert everything(source, size).decode() == TEXT[:500]
    assert source.problem == ""


def test_utf16_that_is_cut_off_ends_with_a_problem() -> None:
    source = Recoded(HashedFile(io.BytesIO(TEXT.encode("utf-16")[:-1])))

    assert everything(source, 1 << 10).decode() == TEXT[:-1]
    assert "not UTF-16" in source.problem


def test_what_cannot_be_a_table_is_named() -> None:
    assert name_format(b"%PDF-1.7") == "a PDF document"
    assert name_format(b"a,b\n1,2\n") == ""
    assert "HTML" in name_markup(" \n<!DOCTYPE html>\n<html>")
    assert "JSON" in name_markup('[{"a": 1}]')
    assert "JSON" in name_markup('{"a": 1}\n{"a": 2}\n')
    assert "XML" in name_markup("<?xml version='1.0'?>")
    assert name_markup("{a},[b]\n1,2\n") == name_markup("<a>,b\n") == name_markup("[0],b\n") == ""
