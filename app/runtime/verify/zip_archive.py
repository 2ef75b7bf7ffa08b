"""Open a model file if it is a zip archive as `torch.jit.save` writes it.

Sizes, positions and names of all members are checked before anything is inflated. Duplicate names,
overlapping members and data before or behind the archive are refused, because two readers could interpret them
differently. This module must not interpret code or pickles.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import NoReturn

MAX_MEMBERS = 4096
MAX_DIRECTORY_BYTES = MAX_MEMBERS * 256
MAX_CODE_BYTES = 128 << 10  # a syntax tree takes four hundred times that memory
MAX_PICKLED_BYTES = 1 << 20

# Members of the archives of torch 2.x, below one folder.
_READ = re.compile(r"(data|constants)\.pkl|code/__torch__(/\w{1,100}){0,20}\.py(\.debug_pkl)?", re.ASCII)
_STORED = re.compile(
    r"(data|constants)/[0-9]{1,6}|version|byteorder|\.format_version|\.storage_alignment|\.data/(serialization_id|version)"
)
# Other formats that torch reads or used to write, by their first bytes or their members.
_STARTS = {b"\x80": "format_pickle", b"\x1f\x8b": "format_gzip"}
_TAR = (257, b"ustar")
_FLATBUFFER = (4, b"PTMF")
_PT2 = re.compile(r"(?:[^/]+/)?archive_format")
_END = struct.Struct("<4s4H2LH")  # end of the directory; data behind it is not read
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 1
_UNREADABLE = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
    struct.error,
    zlib.error,
)


class Forbidden(Exception):
    """Raised for an archive that may not be loaded.

    Attributes:
        reason: stable code, such as `archive_invalid`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def members(model: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the members that torch reads as code or pickles; tensors are skipped.

    Raises:
        Forbidden: if it is not the archive of a scripted module.
    """
    _require_zip(model)
    try:
        _require_small_directory(model)
        with zipfile.ZipFile(io.BytesIO(model)) as archive:
            infos = archive.infolist()
            names = _names(infos)
            _require_side_by_side(model, infos, archive.start_dir)
            for info, name in zip(infos, names, strict=True):
                if _STORED.fullmatch(name):
                    continue
                with archive.open(info) as stream:
                    content = stream.read(info.file_size + 1)
                if len(content) != info.file_size:
                    _invalid(f"{name} is not as large as it says")
                yield name, content
    except _UNREADABLE as error:
        raise Forbidden("archive_invalid", "it is no zip archive that can be read") from error


def _require_zip(model: bytes) -> None:
    """Refuse a file that is not a zip archive, and name its format if it is known."""
    if model.startswith(b"PK\x03\x04"):
        return
    for place, magic in (_TAR, _FLATBUFFER):
        if model[place : place + len(magic)] == magic:
            kind = "format_tar" if magic == _TAR[1] else "format_flatbuffer"
            raise Forbidden(kind, "it was saved in another format; save the model with torch.jit.save")
    for magic, kind in _STARTS.items():
        if model.startswith(magic):
            raise Forbidden(kind, "it was saved in another format; save the model with torch.jit.save")
    _invalid("there is something before or instead of the archive, it is no zip archive")


def _require_small_directory(model: bytes) -> None:
    """Limit the size of the directory before it is read, as zipfile creates an object for every entry, and its place.

    zipfile seeks the directory from the end of the file, torch from its start; both must find the same one.
    """
    end = _END.unpack(model[-_END.size :])
    if end[0] != b"PK\x05\x06" or end[-1]:
        _invalid("there is something behind the archive, or its end is missing")
    entries, directory_bytes, directory_at = end[4:7]
    ends_at = len(model) - _END.size
    locator_at = len(model) - _END.size - _LOCATOR.size
    if locator_at >= 0 and (locator := _LOCATOR.unpack_from(model, locator_at))[0] == b"PK\x06\x07":
        end64 = _END64.unpack_from(model, locator[2])
        if locator[2] + _END64.size != locator_at or end64[0] != b"PK\x06\x06":
            _invalid("its directory is not where it says")
        entries, directory_bytes, directory_at = end64[7:10]
        ends_at = locator[2]
    if directory_at + directory_bytes != ends_at:
        _invalid("its directory is not where it says")
    if entries > MAX_MEMBERS or directory_bytes > MAX_DIRECTORY_BYTES:
        _invalid(f"expected at most {MAX_MEMBERS} members")


def _names(infos: list[zipfile.ZipInfo]) -> list[str]:
    """Return the members' names below the archive's single folder; refuse names and sizes that torch does not write."""
    if not infos:
        _invalid("it has no members")
    if any(_PT2.fullmatch(info.filename) for info in infos):
        raise Forbidden("format_pt2", "it was saved by torch.export; save the model with torch.jit.save")
    if len({info.filename for info in infos}) != len(infos):
        _invalid("two members have the same name")
    folder = infos[0].filename.partition("/")[0]
    names, left = [], {True: MAX_CODE_BYTES, False: MAX_PICKLED_BYTES}
    for info in infos:
        top, _, name = info.filename.partition("/")
        if top != folder or not (_READ.fullmatch(name) or _STORED.fullmatch(name)):
            raise Forbidden(
                "member_forbidden",
                f"no classifier needs a member {info.filename!r:.80}; save what torch.jit.script made (not"
                " torch.jit.trace), without extra files",
            )
        if info.flag_bits & _ENCRYPTED or stat.S_ISLNK(info.external_attr >> 16):
            _invalid(f"{name} is encrypted or a link")
        is_stored = info.compress_type == zipfile.ZIP_STORED
        if is_stored and info.file_size != info.compress_size:
            _invalid(f"{name} is not as large as it says")
        if _READ.fullmatch(name):
            left[name.endswith(".py")] -= info.file_size
        elif not is_stored:
            _invalid(f"{name} is compressed; tensors are stored as they are")
        names.append(name)
    if min(left.values()) < 0:
        raise Forbidden("code_too_large", f"expected at most {MAX_CODE_BYTES} bytes of code in all")
    return names


def _require_side_by_side(model: bytes, infos: list[zipfile.ZipInfo], directory_at: int) -> None:
    """Refuse members that overlap each other or the directory, or whose names differ from the directory's."""
    in_place = sorted(infos, key=lambda info: info.header_offset)
    free_from = 0
    for info in in_place:
        head = _LOCAL.unpack_from(model, info.header_offset)
        name_at = info.header_offset + _LOCAL.size
        name = model[name_at : name_at + head[9]]
        if info.header_offset < free_from or head[0] != b"PK\x03\x04" or name != info.orig_filename.encode():
            _invalid("its members overlap, or its directory says otherwise than they do")
        free_from = name_at + head[9] + head[10] + info.compress_size
    if free_from > directory_at or in_place[0].header_offset:
        _invalid("its members overlap the directory, or do not begin at the start")


def _invalid(detail: str) -> NoReturn:
    raise Forbidden("archive_invalid", detail)
