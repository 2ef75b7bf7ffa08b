"""Every change of an audit file is found, and its place is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.security.audit.command import BROKEN, main
from app.security.audit.verification import BrokenChain, verify
from tests.app.security.audit.files import lines, written


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
