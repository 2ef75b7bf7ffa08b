"""The audit file: a chain that any number of processes write, that crashes tear and changes break (D-13)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.security.audit import chain
from app.security.audit.chain import START, AuditFile
from app.security.audit.command import BROKEN, UNREADABLE, main
from app.security.audit.verification import BrokenChain, verify
from tests.processes import PROJECT

Line = dict[str, Any]


def written(path: Path, *numbers: int) -> AuditFile:
    """Append entries one by one, and return the file, open."""
    file = AuditFile(path)
    for number in numbers:
        file.append([{"action": "test", "number": number}])
    return file


def lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit.jsonl"


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
from app.security.audit.chain import AuditFile
file = AuditFile(pathlib.Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    file.append([{"action": "test", "who": sys.argv[3], "number": number}])
"""


def test_processes_write_one_chain(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path), "40"]
    writers = [subprocess.Popen([*command, str(who)], cwd=PROJECT) for who in range(4)]

    assert [writer.wait(60) for writer in writers] == [0] * 4

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


def swapped(raw: list[bytes]) -> list[bytes]:
    return [raw[0], raw[2], raw[1], *raw[3:]]


CHANGES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], int]] = {
    "a word is changed": (lambda raw: [raw[0], raw[1].replace(b"test", b"rest"), *raw[2:]], 3),
    "a line is removed": (lambda raw: [raw[0], *raw[2:]], 2),
    "the first line is removed": (lambda raw: raw[1:], 1),
    "lines change places": (swapped, 2),
    "a line is doubled": (lambda raw: [*raw[:2], *raw[1:]], 3),
    "a line is put in": (lambda raw: [*raw[:2], b'{"seq": 3, "prev": "x"}\n', *raw[2:]], 3),
    "a line is made empty": (lambda raw: [raw[0], b"\n", *raw[2:]], 2),
    "a line is made no record": (lambda raw: [*raw[:2], b"[3]\n", *raw[3:]], 3),
    "a number is changed": (lambda raw: [*raw[:3], raw[3].replace(b'"seq": 4', b'"seq": 5')], 4),
}


@pytest.mark.parametrize(("change", "line"), CHANGES.values(), ids=CHANGES.keys())
def test_change_is_found_and_its_place_is_named(
    change: Callable[[list[bytes]], list[bytes]], line: int, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(path, 1, 2, 3, 4).close()
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    with pytest.raises(BrokenChain) as broken:
        verify([path])

    assert broken.value.line == line
    assert main(["verify", str(path)]) == BROKEN
    assert f"{path}, line {line}: " in capsys.readouterr().err


def test_end_that_is_cut_off_shows_to_whom_noted_the_digest(path: Path) -> None:
    written(path, 1, 2, 3).close()
    noted = verify([path])
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))

    assert verify([path]).digest != noted.digest


def test_renamed_file_is_gone_on_with_in_a_new_one(path: Path) -> None:
    older = path.with_suffix(".1")
    here, there = written(path, 1, 2), written(path, 3)
    path.rename(older)
    here.append([{"action": "test", "number": 4}])
    there.append([{"action": "test", "number": 5}])
    here.append([{"action": "test", "number": 6}])
    for file in (here, there):
        file.close()

    assert verify([older, path]).records == 6
    assert [line["seq"] for line in lines(path)] == [4, 5, 6]
    assert verify([path], verify([older]).digest).records == 3
    with pytest.raises(BrokenChain):
        verify([path])
    with pytest.raises(BrokenChain):
        verify([path, older])


def test_full_disk_is_told_and_leaves_a_whole_file(path: Path) -> None:
    source = """
import pathlib, resource, sys
from app.security.audit.chain import AuditFile
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
        [sys.executable, "-c", source, str(path)], capture_output=True, check=True, cwd=PROJECT, timeout=60
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


def test_command_says_how_many_records_there_are_and_what_is_torn(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(path, 1, 2).close()
    with path.open("ab") as file:
        file.write(b'{"seq')

    assert main(["verify", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("2 records, all as they were written; the last is ")
    assert "5 bytes at the end" in said
    assert main(["verify", "--after", START, str(path)]) == 0
    assert main(["verify", str(path.parent / "none")]) == UNREADABLE
    assert capsys.readouterr().err.startswith("tabserve: ")
