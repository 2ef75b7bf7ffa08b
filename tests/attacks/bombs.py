"""Archives that are small on disk and large in memory, or read differently by two readers."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable

from tests.app.hostile import GOOD

ENTRY = b"PK\x01\x02"
END64 = b"PK\x06\x06"
ZEROS = bytes(200 << 20)


def with_members(*names: str, content: bytes = b"", compressed: bool = False) -> bytes:
    """Return the good archive with additional members."""
    stream = io.BytesIO(GOOD)
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "a") as archive:
        warnings.simplefilter("ignore")  # about repeated names
        for name in names:
            archive.writestr(f"archive/{name}", content, kind)
    return stream.getvalue()


def patched(archive: bytes, place: int, form: str, *values: int) -> bytes:
    """Return the archive with some of its numbers replaced."""
    changed = bytearray(archive)
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


def claiming_two_gib() -> bytes:
    """Return an archive whose first member claims to have 2 GiB."""
    return patched(GOOD, GOOD.index(ENTRY) + 24, "<L", 2 << 30)


def overlapping() -> bytes:
    """Return an archive with a tensor inside another tensor: the same bytes count twice."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as inner:
        inner.writestr("archive/data/1", bytes(4096))
    head_and_data = stream.getvalue()[: stream.getvalue().index(ENTRY)]
    archive = with_members("data/0", "data/1", content=head_and_data)
    inside = archive.index(head_and_data, archive.index(b"archive/data/0"))
    return patched(archive, archive.rindex(ENTRY) + 42, "<L", inside)


def lying_about_its_directory() -> bytes:
    """Return an archive whose zip64 record claims 2^40 members in a directory of 2^62 bytes."""
    return patched(GOOD, GOOD.index(END64) + 24, "<QQQ", 1 << 40, 1 << 40, 1 << 62)


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "200 MiB of zeros as a tensor": (lambda: with_members("data/0", content=ZEROS, compressed=True), "archive_invalid"),
    "200 MiB of zeros as code": (
        lambda: with_members("code/__torch__/z.py", content=ZEROS, compressed=True),
        "code_too_large",
    ),
    "a member that claims 2 GiB": (claiming_two_gib, "archive_invalid"),
    "100,000 members": (lambda: with_members(*(f"data/{n}" for n in range(100_000))), "archive_invalid"),
    "overlapping members": (overlapping, "archive_invalid"),
    "data.pkl twice": (lambda: with_members("data.pkl", content=b"."), "archive_invalid"),
    "truncated end": (lambda: GOOD[:-10], "archive_invalid"),
    "zip64 lies": (lying_about_its_directory, "archive_invalid"),
    "garbage before it": (lambda: b"\x7fELF" + bytes(4096) + GOOD, "archive_invalid"),
    "code of 120 kB": (
        lambda: with_members("code/__torch__/z.py", content=b"a = 1\n" * 20_000, compressed=True),
        "well",  # allowed, but must be cheap
    ),
}
