"""The audit file: a chain that processes share, crashes tear and changes break (D-13)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.security.audit import chain
from app.security.audit.chain import AuditFile, last_entries
from app.security.audit.verification import verify
from tests.app.security.audit.files import Line, lines, written
from tests.processes import PROJECT


def test_every_line_has_the_sha256_of_the_line_before_it_and_the_file_is_private(path: Path) -> None:
    written(path, 1, 2, 3).close()

    raw = path.read_bytes().splitlines()
    assert [line["prev"] for line in lines(path)] == [
        "0" * 64,
        *(hashlib.sha256(line).hexdigest() for line in raw[:-1]),
    ]
    assert [(line["seq"], line["number"]) for line in lines(path)] == [(1, 1), (2, 2), (3, 3)]
    assert path.stat().st_mode & 0o777 == 0o600
    found = verify([path])
    assert (found.records, found.sealed, found.torn_bytes) == (3, 0, 0)
    assert found.digest == hashlib.sha256(raw[-1]).hexdigest()


def test_entries_that_come_together_are_one_write_and_lines_of_their_own(path: Path) -> None:
    file = AuditFile(path)
    file.append([{"action": "a"}, {"action": "b"}, {"action": "c"}])
    file.close()

    assert [line["action"] for line in lines(path)] == ["a", "b", "c"]
    assert verify([path]).records == 3


def test_text_of_strangers_stays_in_its_line(path: Path) -> None:
    nasty = 'a\r\nb\x1b[31m\u2028{"seq": 9}'
    file = AuditFile(path)
    file.append([{"action": "test", "dataset": nasty}])
    file.close()

    assert lines(path)[0]["dataset"] == nasty
    assert path.read_bytes().count(b"\n") == 1
    assert b"\x1b" not in path.read_bytes()


WRITER = """
import sys, pathlib
from app.security.audit.chain import AuditFile, last_entries
file = AuditFile(pathlib.Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    file.append([{"action": "test", "who": sys.argv[3], "number": number}])
"""


@pytest.mark.slow
def test_processes_write_one_chain(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path), "40"]
    writers = [subprocess.Popen([*command, str(who)], cwd=PROJECT) for who in range(4)]

    assert [writer.wait(120) for writer in writers] == [0] * 4

    assert verify([path]).records == 160
    for who in range(4):
        assert [line["number"] for line in lines(path) if line["who"] == str(who)] == list(range(40))


TORN = {
    "a part of a line": b'{"seq": 3, "time": "20',
    "a line without its end": b'{"seq": 3, "action": "test", "prev": "' + b"0" * 64 + b'"}',
    "zeros, many": bytes(100_000),
}


@pytest.mark.parametrize("torn", TORN.values(), ids=TORN.keys())
@pytest.mark.parametrize("before", [0, 2])
def test_torn_end_is_told_from_a_change_and_sealed_by_the_next_record(torn: bytes, before: int, path: Path) -> None:
    written(path, *range(before)).close()
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        file.write(torn)

    assert (verify([path]).records, verify([path]).torn_bytes) == (before, len(torn))
    written(path, 7).close()

    found = verify([path])
    assert (found.records, found.sealed, found.torn_bytes) == (before + 2, 1, 0)
    sealing = lines_after_torn(path, torn)[0]
    assert (sealing["action"], sealing["torn_sha256"]) == ("log.sealed", hashlib.sha256(torn).hexdigest())


def lines_after_torn(path: Path, torn: bytes) -> list[Line]:
    return [json.loads(line) for line in path.read_bytes().partition(torn + b"\n")[2].splitlines()]


def test_full_disk_is_told_and_leaves_a_whole_file(path: Path) -> None:
    source = """
import pathlib, resource, sys
from app.security.audit.chain import AuditFile, last_entries
file = AuditFile(pathlib.Path(sys.argv[1]))
file.append([{"action": "before"}])
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (pathlib.Path(sys.argv[1]).stat().st_size + 40, limits[1]))
try:
    file.append([{"action": "too much"}])
except OSError as error:
    print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
file.append([{"action": "after"}])
"""
    done = subprocess.run(
        [sys.executable, "-c", source, str(path)], capture_output=True, check=True, cwd=PROJECT, timeout=300
    )

    assert done.stdout.strip() == b"27"  # EFBIG
    assert [line["action"] for line in lines(path)] == ["before", "after"]
    assert verify([path]).sealed == 0


def test_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        written(path, 1)

    assert not (tmp_path / "elsewhere").exists()


def test_process_that_holds_the_lock_is_not_waited_for_without_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "LOCK_DEADLINE_S", 0.05)
    file = written(path, 1)
    holder = os.open(path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(TimeoutError):
        file.append([{"action": "test"}])
    os.close(holder)

    file.append([{"action": "test"}])
    file.close()
    assert verify([path]).records == 2


def test_last_records_are_read_from_the_end_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert last_entries(path, 3) == []
    written(path, *range(100)).close()
    with path.open("ab") as file:
        file.write(b'{"seq": 101, "torn')

    assert [entry["number"] for entry in last_entries(path, 3)] == [97, 98, 99]
    assert [entry["number"] for entry in last_entries(path, 200)] == [*range(100)]
    monkeypatch.setattr(chain, "READ_BYTES", 20 + len(path.read_bytes().splitlines()[-2]) * 5 // 2)
    assert [entry["number"] for entry in last_entries(path, 200)] == [98, 99]
