"""Read a CSV file as blocks of whole rows with line numbers, in bounded memory.

A block is read fast (pandas) if each of its lines is one row of the right length, and exactly (the `csv` module)
otherwise: blank lines, line feeds inside quotes, rows of a wrong length. Both give the same rows and
take time linear in the number of cells, however wide or ragged the file. It must not know which columns matter.
Syntax: commas, quotes doubled inside quotes, UTF-8, with or without a byte order mark.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Collection, Iterator
from typing import BinaryIO

import numpy as np
import pandas as pd

from modelstore.reading import LINE_ENDS_LOST, column_name
from training.data.block import Block
from training.data.csv_exact import ExactRows
from training.data.faults import Faults, describe_ragged
from training.data.header import names_are_right

FIRST_BYTES = 1 << 18
BLOCK_BYTES = 1 << 22
MAX_LINE_BYTES = 1 << 24

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class CsvFile:
    """One pass over an open file: first the header, then the blocks.

    Attributes:
        faults: faults of the file's syntax; callers add faults of its cells.
        header: column names, normalised by `column_name`; empty if they cannot be used, which is also a fault.
        blank_lines: number of blank lines skipped so far.
        missing: cells that are NaN where a column is read as numbers; callers set it before the first block.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.faults = Faults()
        self.header: tuple[str, ...] = ()
        self.header_line = 1
        self.blank_lines = 0
        self.missing: Collection[str] = ()
        self._hash = hashlib.sha256()
        self._stream = stream
        self._raw = self._raw_blocks()
        self._line = 1  # line at which the next block begins
        self._offset = 0
        self._first = b""

    def read_header(self) -> tuple[str, ...]:
        """Read and check the first row, the column names."""
        first = next(self._raw, b"")
        if first.startswith(UTF_16):
            self.faults.add("the file is UTF-16; save it as CSV in UTF-8")
            return ()
        if first.startswith(BOM):
            first, self._offset = first[len(BOM) :], len(BOM)
        if not self._is_text(first):
            return ()
        lines = list(io.StringIO(first.decode(), newline=""))
        rows = ExactRows(lines, 1)
        for cells, line in rows:
            if rows.unclosed:
                self.faults.add("a quote is not closed", line=line)
            else:
                self.header, self.header_line = tuple(map(column_name, cells)), line
            break
        if not (self.header or self.faults):
            self.faults.add(rows.problem or "the file is empty; expected a line of column names, then rows")
        elif self.header and len(lines) == 1 and not first.endswith((b"\n", b"\r")):
            problem = f"expected data rows below the header, got one line without an end; {LINE_ENDS_LOST}"
            self.faults.add(problem, line=1)
        if self.faults or not names_are_right(self.header, self.header_line, self.faults):
            return ()
        self.blank_lines = rows.blank_lines
        used = "".join(lines[: rows.consumed]).encode()
        self._line, self._offset, self._first = 1 + rows.consumed, self._offset + len(used), first[len(used) :]
        return self.header

    def blocks(self, as_text: Collection[int]) -> Iterator[Block]:
        """Yield the rows below the header in non-empty blocks; rows of a wrong length are faults and omitted.

        Args:
            as_text: positions of columns to read as text; evaluated before each block, so it may change meanwhile.
        """
        while not self.faults.full:
            raw, self._first = self._first or next(self._raw, b""), b""
            if not raw or not self._is_text(raw):
                return
            block = self._quick(raw, as_text)
            if block is None:
                raw, block = self._exact(raw)
            self._line += _line_count(raw)
            self._offset += len(raw)
            if block is None:
                return
            if len(block):
                yield block

    def sha256(self) -> str:
        """Return the hash of all bytes read so far: of the whole file after the last block."""
        return self._hash.hexdigest()

    def _raw_blocks(self) -> Iterator[bytes]:
        """Yield the file in pieces that end at the end of a line."""
        rest, size = b"", FIRST_BYTES
        while chunk := self._stream.read(size):
            self._hash.update(chunk)
            rest, size = rest + chunk, BLOCK_BYTES
            end = rest.rfind(b"\n") + 1 or rest.rfind(b"\r", 0, -1) + 1  # a CR at the end may be half a CRLF
            if end:
                yield rest[:end]
                rest = rest[end:]
            elif len(rest) > MAX_LINE_BYTES:
                hint = f"is this a CSV file? {LINE_ENDS_LOST}"
                self.faults.add(f"a line of more than {MAX_LINE_BYTES >> 20} MiB; {hint}", line=self._line)
                return
        if rest:
            yield rest

    def _is_text(self, raw: bytes) -> bool:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            place = self._line + _line_count(raw[: error.start] + b"x") - 1
            byte = f"byte 0x{raw[error.start]:02x} at offset {self._offset + error.start}"
            self.faults.add(f"{byte} is not UTF-8; save the file as CSV in UTF-8", line=place)
            return False
        if b"\0" in raw:
            place = self._line + _line_count(raw[: raw.index(b"\0")] + b"x") - 1
            self.faults.add("a NUL byte; is this a CSV file?", line=place)
            return False
        return True

    def _quick(self, raw: bytes, as_text: Collection[int]) -> Block | None:
        """Return the rows if each line is one row of the right length, else None."""
        rows, columns, quoted = _line_count(raw), len(self.header), b'"' in raw
        if (b"\r" in raw and _count(raw, b"\r") != raw.count(b"\r\n")) or (
            not quoted and _count(raw, b",") != rows * (columns - 1)
        ):
            return None
        try:
            with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
                cells = pd.read_csv(
                    io.BytesIO(raw),
                    header=None,
                    names=range(columns),
                    # "category" would read `01` as a number
                    dtype=str if len(as_text) == columns else dict.fromkeys(as_text, pd.StringDtype(na_value=np.nan)),
                    na_filter=bool(self.missing),
                    keep_default_na=False,
                    na_values=list(self.missing) or None,
                    index_col=False,
                    low_memory=False,
                )
        except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError):
            return None
        # pandas pads short rows with empty cells, which cannot be told from real empty cells
        if len(cells) != rows or (quoted and _has_empty(cells[columns - 1])):
            return None
        return Block(cells, np.arange(self._line, self._line + rows), raw)

    def _exact(self, raw: bytes) -> tuple[bytes, Block | None]:
        """Return the consumed bytes and the rows; reads more bytes if `raw` ends inside the quotes of its first row."""
        while True:
            lines = list(io.StringIO(raw.decode(), newline=""))
            rows = ExactRows(lines, self._line)
            found = [(cells, line, rows.consumed) for cells, line in rows if not rows.unclosed]
            if rows.problem:
                self.faults.add(rows.problem, line=rows.line)
                return raw, None
            if not rows.unclosed:
                self.blank_lines += rows.blank_lines
                return raw, self._block(found, lines)
            more = next(self._raw, b"")
            if found:  # the unfinished row begins the next block
                begun = "".join(lines[rows.line - self._line :]).encode()
                self._first = begun + more
                return raw[: -len(begun)], self._block(found, lines)
            if not more or len(raw) > MAX_LINE_BYTES:
                endless = f"a row of more than {MAX_LINE_BYTES >> 20} MiB; is a quote not closed?"
                self.faults.add(endless if more else "a quote is not closed", line=rows.line)
                return raw, None
            if not self._is_text(more):
                return raw, None
            raw += more

    def _block(self, rows: list[tuple[list[str], int, int]], lines: list[str]) -> Block:
        columns = len(self.header)
        right = []
        for cells, line, end in rows:
            if len(cells) == columns:
                right.append((cells, line, "".join(lines[line - self._line : end]).rstrip("\r\n").encode()))
            else:
                self.faults.add(describe_ragged(cells, columns), line=line)
        texts = np.empty((len(right), columns), dtype=object)
        for row, (cells, _, _) in enumerate(right):
            texts[row] = cells
        starts = np.array([line for _, line, _ in right], dtype=np.int64)
        return Block(pd.DataFrame(texts, dtype=object), starts, [text for _, _, text in right])


def _line_count(raw: bytes) -> int:
    """Count lines that end in LF, CRLF or CR; the last may have no line end."""
    ends = _count(raw, b"\n") + (_count(raw, b"\r") - raw.count(b"\r\n") if b"\r" in raw else 0)
    return ends + (not raw.endswith((b"\n", b"\r")))


def _count(raw: bytes, byte: bytes) -> int:
    """Count a byte; for a frequent one, NumPy takes a tenth of the time of `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(raw, dtype=np.uint8) == ord(byte)))


def _has_empty(column: pd.Series) -> bool:
    return bool(column.isna().any() or (not pd.api.types.is_numeric_dtype(column) and (column == "").any()))
