"""Files of rows as bodies of requests: CSV and lines of JSON, of any size.

A body ends where a record does. This module must not know HTTP, or what the records say.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

from tabserve.errors import WrongInput
from tabserve.tables import CSV, MAX_BODY_BYTES, ROWS, TABS, Body

_FILES = {".csv": CSV, ".tsv": TABS, ".tab": TABS, ".ndjson": ROWS, ".jsonl": ROWS}
_DELIMITERS = ",;\t|"
PIECE_CHARACTERS = 1 << 19  # to read at a time
SMALL_PIECE_CHARACTERS = 1 << 12


def file_bodies(
    path: Path, encoding: str = "utf-8", *, few: bool = False, names: Collection[str] = ()
) -> Iterator[Body]:
    """Yield a CSV file (`.csv`, `.tsv`; also `.gz`) or lines of JSON (`.ndjson`, `.jsonl`) in bodies.

    A body ends where a record does: a quoted cell may hold line ends. Each body of a CSV file has its header. `few`
    makes the bodies small, because each row takes long. `names` are the columns of a version whose training file had no
    header: a file whose first record has none of them as a cell has no header either.

    Raises:
        WrongInput: for a file of another kind, one that is not in this encoding or is damaged, or a record above 1 MiB.
    """
    bare = path.with_suffix("") if path.suffix == ".gz" else path
    content_type = _FILES.get(bare.suffix.lower())
    if content_type is None:
        known = ", ".join(_FILES)
        raise WrongInput(
            f"{path.name}: expected a file ending in {known}, or one of them with .gz; read others with pandas"
        )
    try:
        with _open(path, encoding) as text:
            header = "" if content_type == ROWS else _first_record(text, path.name)
            begun = header if names and not _cells(header) & {*names} else ""
            header = "" if begun else header
            size = SMALL_PIECE_CHARACTERS if few else PIECE_CHARACTERS
            yield from _pieces(text, header, content_type, path.name, size, begun=begun)
    except UnicodeDecodeError as error:
        raise WrongInput(f"{path.name} is not written in {encoding}; name its encoding, such as cp1252") from error
    except LookupError as error:
        raise WrongInput(f"encoding {encoding!r} is not known; expected one such as cp1252") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise WrongInput(f"{path.name} is not complete, or no file of gzip: {error}") from error


def _open(path: Path, encoding: str) -> IO[str]:
    codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    return (
        gzip.open(path, "rt", encoding=codec, newline="")
        if path.suffix == ".gz"
        else path.open(encoding=codec, newline="")
    )


def _first_record(text: IO[str], name: str) -> str:
    """Return the header with blank lines above it, which the service ignores, too."""
    header, quoted, is_open = "", _quoted_cells(_DELIMITERS), False
    while (is_open or not header.strip()) and (more := text.readline()):
        header += more
        if '"' in more:
            is_open = any(not cell["closed"] for cell in quoted.finditer(f"\n{header}"))
        if len(header) > MAX_BODY_BYTES:
            raise WrongInput(f"{name}: the header is longer than 1 MiB; is a quote not closed?")
    return header


def _cells(record: str) -> set[str]:
    """Return the cells of a record, whichever delimiter it has."""
    return {cell.strip().strip("\"'") for cell in re.split(f"[{_DELIMITERS}]", record)}


def _pieces(
    text: IO[str], header: str, content_type: str, name: str, piece_characters: int, *, begun: str
) -> Iterator[Body]:
    """Yield what follows the header in bodies of whole records; `begun` has been read already."""
    before, rest = 0, begun
    quoted = None if content_type == ROWS else _quoted_cells({*(header or begun)} & {*_DELIMITERS})
    while piece := text.read(piece_characters):
        rest += piece
        end = _last_end(rest, quoted)
        if end:
            records, rest = rest[:end], rest[end:]
            for body in _halves(records, MAX_BODY_BYTES - len(header.encode()), quoted):
                yield Body(f"{header}{body}".encode(), content_type, before)
                before += _lines(body)
        elif len(rest) > MAX_BODY_BYTES:
            raise WrongInput(f"{name}: a record after line {before + 1} is longer than 1 MiB; is a quote not closed?")
    if rest or not before:
        yield Body(f"{header}{rest}".encode(), content_type, before)


def _halves(records: str, most_bytes: int, quoted: re.Pattern[str] | None) -> Iterator[str]:
    """Yield whole records together, or in halves if they are too large: a character may have four bytes."""
    middle = 0 if len(records.encode()) <= most_bytes else _last_end(records[: len(records) // 2], quoted)
    if middle:
        yield from _halves(records[:middle], most_bytes, quoted)
        yield from _halves(records[middle:], most_bytes, quoted)
    else:
        yield records


def _last_end(text: str, quoted: re.Pattern[str] | None) -> int:
    """Return the length of the records that are complete: those before the last line end outside of quotes."""
    cells = quoted.finditer(f"\n{text}") if quoted and '"' in text else ()
    places = [(0, 0), *((cell.start("cell") - 1, cell.end("cell") - 1) for cell in cells)]
    stop = len(text)
    for start, end in reversed(places):
        last = max(text.rfind("\n", end, stop), text.rfind("\r", end, min(stop, len(text) - 1)))
        if last >= 0:
            return last + 1
        stop = start
    return 0


def _quoted_cells(delimiters: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of quoted cells, for text below a line end; a quote that does not begin a cell is text."""
    return re.compile(rf"""[{"".join(delimiters)}\r\n] *(?P<cell>"[^"]*(?:""[^"]*)*(?P<closed>"?))""")


def _lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
