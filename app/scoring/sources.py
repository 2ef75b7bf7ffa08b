"""Find the files of rows that a run reads: by name, in folders, by pattern.

This module must not know what is in a file.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.inference.codecs import arrow, csv, ndjson
from app.scoring.errors import ScoringError
from modelstore import wording

PARQUET = "application/vnd.apache.parquet"

TEXTS = {
    ".csv": csv.CONTENT_TYPE,
    ".tsv": csv.TAB_SEPARATED,
    ".tab": csv.TAB_SEPARATED,
    ".ndjson": ndjson.CONTENT_TYPE,
    ".jsonl": ndjson.CONTENT_TYPE,
}
"""Content types by suffix; these files may be compressed, with `.gz` behind the suffix."""

TABLES = {
    ".parquet": PARQUET,
    ".arrow": arrow.CONTENT_TYPE,
    ".arrows": arrow.CONTENT_TYPE,
    ".feather": arrow.CONTENT_TYPE,
}


@dataclass(frozen=True, slots=True)
class Source:
    """A file of rows.

    Attributes:
        path: where it is.
        kind: content type of the rows.
        is_compressed: whether it is compressed by gzip.
        size_bytes: its size on the disk.
        written_ns: when it was last written, in nanoseconds since 1970.
    """

    path: Path
    kind: str
    is_compressed: bool
    size_bytes: int
    written_ns: int

    def has_changed(self) -> bool:
        """Return whether the file was written, replaced or removed since it was found."""
        try:
            found = self.path.stat()
        except OSError:
            return True
        return (found.st_size, found.st_mtime_ns) != (self.size_bytes, self.written_ns)

    def sha256(self) -> str:
        """Return the hash of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find_sources(named: Sequence[str], output: Path) -> list[Source]:
    """Return the files in the order in which they are named; those of a folder or pattern by name.

    Files whose name begins with a dot or an underscore, as of Spark's `_SUCCESS`, are no rows.

    Args:
        named: files, folders (with all below them) and patterns.
        output: where the answers will be, which must not be among them.

    Raises:
        ScoringError: if there are none, one has another suffix or is a pipe, or is the output.
    """
    found = [_source(path) for name in named for path in _paths(name, output)]
    if output.exists() and (same := next((each for each in found if each.path.samefile(output)), None)):
        raise ScoringError(f"{output}: is {same.path}, whose rows are scored; write it elsewhere")
    if not found:
        raise ScoringError(f"{', '.join(named)}: has no file of rows")
    return found


def _paths(name: str, output: Path) -> Iterator[Path]:
    path = Path(name)
    if path.is_dir():
        if output.resolve().is_relative_to(path.resolve()):
            raise ScoringError(f"{output}: lies in the folder of the rows, {name}; write it elsewhere")
        yield from sorted(each for each in path.rglob("*") if each.is_file() and _is_row_file(each.relative_to(path)))
    elif path.exists():
        yield path
    elif glob.has_magic(name):
        names = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - a pattern may be absolute
        fixed = len(list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)))
        matches = [path for each in names if (path := Path(each)).is_file() and _is_row_file(Path(*path.parts[fixed:]))]
        if not matches:
            raise ScoringError(f"{name}: no file matches this pattern")
        yield from matches
    else:
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        meant = wording.nearest(path.name, beside)
        raise ScoringError(f"{name}: there is no such file" + (f"; did you mean {meant}?" if meant else ""))


def _is_row_file(path: Path) -> bool:
    return not any(part.startswith((".", "_")) for part in path.parts)


def _source(path: Path) -> Source:
    is_compressed = path.suffix.lower() == ".gz"
    suffix = (path.with_suffix("") if is_compressed else path).suffix.lower()
    if not path.is_file():
        raise ScoringError(f"{path}: is not a file that can be read twice; copy its rows into one")
    kind = TEXTS.get(suffix) or (None if is_compressed else TABLES.get(suffix))
    if kind is None:
        texts = ", ".join(TEXTS)
        raise ScoringError(
            f"{path}: expected a file ending in {', '.join(TABLES)}, {texts}, or one of the latter with .gz"
        )
    found = path.stat()
    return Source(path, kind, is_compressed, found.st_size, found.st_mtime_ns)
