"""Archives that two readers could read differently are refused before anything is inflated."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from app.runtime.verify.torchscript_scan import inspect
from app.runtime.verify.zip_archive import MAX_CODE_BYTES, MAX_MEMBERS, Forbidden, members
from tests.app.hostile import GOOD, rebuilt


def test_two_members_of_one_name_are_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"), pytest.raises(Forbidden, match="same name"):
        inspect(rebuilt(lambda _, old: old, {"version": b"3"}))


def test_compressed_tensors_are_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old, zipfile.ZipFile(stream, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info), zipfile.ZIP_DEFLATED)
    with pytest.raises(Forbidden, match="compressed"):
        inspect(stream.getvalue())


def reason(archive: bytes) -> str:
    """Return why an archive is refused."""
    with pytest.raises(Forbidden) as caught:
        list(members(archive))
    return caught.value.reason


def test_code_and_pickles_are_read_and_tensors_are_not() -> None:
    names = [name for name, _ in members(GOOD)]

    assert {"data.pkl", "constants.pkl"} <= set(names)
    assert any(name.startswith("code/__torch__") for name in names)
    assert not [name for name in names if name.startswith("data/")]


@pytest.mark.parametrize(
    ("archive", "refused"),
    [
        (b"", "archive_invalid"),
        (b"\x80\x02}q\x00.", "format_pickle"),
        (b"\x1f\x8b" + bytes(20), "format_gzip"),
        (bytes(257) + b"ustar", "format_tar"),
        (bytes(4) + b"PTMF", "format_flatbuffer"),
        (b"#" + GOOD, "archive_invalid"),
        (GOOD + b"\0", "archive_invalid"),
    ],
    ids=["empty", "pickle", "gzip", "tar", "flatbuffer", "something before it", "something behind it"],
)
def test_file_that_is_no_archive_is_refused_by_its_format(archive: bytes, refused: str) -> None:
    assert reason(archive) == refused


def test_archive_of_too_many_members_is_refused_before_they_are_listed() -> None:
    many = rebuilt(lambda _, old: old, {f"data/{number}": b"" for number in range(10, MAX_MEMBERS + 10)})

    with pytest.raises(Forbidden, match=f"at most {MAX_MEMBERS} members"):
        list(members(many))


def test_code_that_is_too_large_in_all_is_refused() -> None:
    half = b"#" * (MAX_CODE_BYTES // 2 + 1)

    assert reason(rebuilt(lambda _, old: old, {f"code/__torch__/{name}.py": half for name in "ab"})) == "code_too_large"


def test_member_that_its_directory_calls_otherwise_is_refused() -> None:
    place = GOOD.index(b"data.pkl")

    assert reason(GOOD[:place] + b"dota.pkl" + GOOD[place + 8 :]) == "archive_invalid"


def test_directory_that_is_not_where_it_says_is_refused() -> None:
    """zipfile moves all members by as much as the directory is moved; torch would read others, which nobody scanned."""
    archive = bytearray(rebuilt(lambda _, old: old))
    with zipfile.ZipFile(io.BytesIO(archive)) as read:
        infos, place = read.infolist(), read.start_dir
    struct.pack_into("<L", archive, len(archive) - 6, place + 1)
    for info in infos:
        struct.pack_into("<L", archive, place + 42, info.header_offset + 1)
        place += 46 + len(info.filename) + len(info.extra) + len(info.comment)

    assert reason(bytes(archive)) == "archive_invalid"
