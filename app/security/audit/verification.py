"""Verify the hash chain of audit files, line by line.

This module must not know what the entries mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.security.audit.chain import SEALED, START, record_of, sha256_of


class BrokenChain(Exception):
    """A line was changed or removed after it was written.

    Attributes:
        path: of the file.
        line: number of the first line that does not fit, from 1.
    """

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}, line {line}: {problem}")
        self.path = path
        self.line = line


@dataclass
class Verified:
    """Result of verifying a chain.

    Attributes:
        records: number of records, over all files.
        sealed: number of torn lines between them, each sealed by the record after it.
        torn_bytes: bytes after the last record; a crash left them, and the next record will seal them.
        seq: number of the last record.
        digest: of the last record; keep it to detect later whether the end of the file was cut off.
    """

    records: int = 0
    sealed: int = 0
    torn_bytes: int = 0
    seq: int = 0
    digest: str = START


def verify(paths: Sequence[Path], after: str = START) -> Verified:
    """Verify the chain through several files.

    Args:
        paths: of the files, oldest first.
        after: digest of the record before the first, if older files are gone.

    Raises:
        BrokenChain: naming the first line that does not fit.
        OSError: if a file cannot be read.
    """
    found = Verified(digest=after)
    for path in paths:
        if found.torn_bytes:
            raise BrokenChain(path, 1, "the file before it ends in a torn line that nothing seals")
        for number, line, following in _lines(path):
            if following is None and not line.endswith(b"\n"):
                found.torn_bytes = len(line)
            elif _seals(following, line.removesuffix(b"\n")):
                found.sealed += 1
            else:
                _check(found, line.removesuffix(b"\n"), path, number)
    return found


def _check(found: Verified, line: bytes, path: Path, number: int) -> None:
    record = record_of(line)
    if record is None:
        raise BrokenChain(path, number, "this is no record")
    if record["prev"] != found.digest:
        raise BrokenChain(path, number, "the record before it was changed or removed")
    if (found.records or found.digest == START) and record["seq"] != found.seq + 1:
        raise BrokenChain(path, number, f"it has number {record['seq']}, and {found.seq + 1} comes next")
    found.seq, found.digest, found.records = int(str(record["seq"])), sha256_of(line), found.records + 1


def _lines(path: Path) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Yield number, line and the following line, which is None for the last one."""
    with path.open("rb") as file:
        number, line = 1, file.readline()
        while line:
            following = file.readline()
            yield number, line, following or None
            number, line = number + 1, following


def _seals(line: bytes | None, torn: bytes) -> bool:
    """Return whether `line` is the record that seals the torn line before it."""
    record = record_of(line) if line else None
    return record is not None and record.get("action") == SEALED and record.get("torn_sha256") == sha256_of(torn)
