"""The audit file: a hash chain of JSON lines, each with the sha256 of the line before it.

The chain reveals changed and missing lines. Any number of processes append to one file, one at a time, and an entry is
on disk when `append` returns. This module must not know what the entries mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

START = "0" * 64
SEALED = "log.sealed"  # record after a line that was torn by a crash or a full disk
END_BYTES = 16 << 10  # longer than the last two lines usually are
READ_BYTES = 64 << 10  # of a file whose last records are shown
UNKNOWN = -1
LOCK_DEADLINE_S = 5.0
LOCK_INTERVAL_S = 0.005

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Tail:
    """End of a chain, where the next line is appended.

    Attributes:
        seq: number of the last line.
        digest: its sha256.
        size: of the file; anything beyond it was written by another process.
    """

    seq: int = 0
    digest: str = START
    size: int = 0


class AuditFile:
    """Handle of one process on the audit file; to be used by one thread at a time.

    The file may be renamed at any time; the next line then starts a new file that continues numbers and digests.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._tail = Tail()

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries durably; they are on disk when this returns.

        Raises:
            OSError: if that cannot be guaranteed. The entries may be in the file all the same.
        """
        while True:
            descriptor = self._open()
            with _lock(descriptor):
                if self._is_current(descriptor):
                    self._tail = self._append(descriptor, entries)
                    return
                # the previous holder of the lock may have written last; the size belongs to the renamed file
                self._tail = replace(self._end_of(descriptor)[0], size=UNKNOWN)
            self.close()

    def is_renamed(self) -> bool:
        """Return whether the file was renamed since the last line."""
        return self._descriptor is not None and not self._is_current(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor

    def _is_current(self, descriptor: int) -> bool:
        held = os.fstat(descriptor)
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return False
        return (held.st_ino, held.st_dev) == (found.st_ino, found.st_dev)

    def _append(self, descriptor: int, entries: Sequence[Entry]) -> Tail:
        tail, torn = self._end_of(descriptor)
        lines = []
        if torn:
            sealing = {"action": SEALED, "torn_bytes": len(torn), "torn_sha256": sha256_of(torn)}
            entries = [sealing, *entries]
            lines.append(b"\n")
        for entry in entries:
            line = json.dumps({"seq": tail.seq + 1, **entry, "prev": tail.digest}).encode()
            tail = Tail(tail.seq + 1, sha256_of(line))
            lines.append(line + b"\n")
        before = os.fstat(descriptor).st_size
        try:
            _write(descriptor, b"".join(lines))
            os.fsync(descriptor)
            if before == 0:
                self._sync_folder()
        except OSError:
            with contextlib.suppress(OSError):  # if this fails too, the next append finds the torn line
                os.ftruncate(descriptor, before)
            raise
        return Tail(tail.seq, tail.digest, os.fstat(descriptor).st_size)

    def _end_of(self, descriptor: int) -> tuple[Tail, bytes]:
        """Return the end of the chain in a file, and the bytes after its last complete line."""
        size = os.fstat(descriptor).st_size
        if size in (self._tail.size, 0):  # unchanged; or a new file, which continues the previous one
            return self._tail, b""
        length = min(size, END_BYTES)
        end = os.pread(descriptor, length, size - length)
        while end.count(b"\n") < 2 and length < size:  # after a crash the last line can be of any length
            length = min(size, 2 * length)
            end = os.pread(descriptor, length, size - length)
        whole, ended, torn = end.rpartition(b"\n")
        if not ended:
            return self._tail, torn
        line = whole.rpartition(b"\n")[2]
        record = record_of(line)
        return Tail(int(str(record["seq"])) if record else self._tail.seq, sha256_of(line), size), torn

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def last_entries(path: Path, most: int) -> list[dict[str, object]]:
    """Return the last records of a file, oldest first, in at most `READ_BYTES`; none if there is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return []
    try:
        size = os.fstat(descriptor).st_size
        end = os.pread(descriptor, READ_BYTES, max(0, size - READ_BYTES))
    finally:
        os.close(descriptor)
    records = (record_of(line) for line in end.splitlines()[-most - 1 :])  # the first may lack its beginning
    return [record for record in records if record is not None][-most:]


def record_of(line: bytes) -> dict[str, object] | None:
    """Parse a line; return None if it is not a record."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    good = isinstance(record, dict) and isinstance(record.get("seq"), int) and isinstance(record.get("prev"), str)
    return record if good else None


def sha256_of(line: bytes) -> str:
    """Return the digest of a line, which the next line contains."""
    return hashlib.sha256(line).hexdigest()


@contextlib.contextmanager
def _lock(descriptor: int) -> Iterator[None]:
    """Hold the lock of the file, with a deadline because the process that holds it may be suspended.

    Raises:
        TimeoutError.
    """
    deadline = time.monotonic() + LOCK_DEADLINE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError("another process holds the audit file") from None
            time.sleep(LOCK_INTERVAL_S)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
