"""Read a table file as blocks of whole rows with line numbers, in bounded memory.

A block is read fast (pandas) if each of its lines is one row of the right length, and exactly (the `csv` module)
otherwise: blank lines, line feeds inside quotes, rows of a wrong length. Both give the same rows and
take time linear in the number of cells, however wide or ragged the file. It must not know which columns matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import BinaryIO

import numpy as np
import pandas as pd

from modelstore import Dialect
from modelstore.reading import BLANKS
from training.data import pieces
from training.data.block import Block
from training.data.csv_exact import ExactRows
from training.data.csv_quick import read_quickly
from training.data.dialect import Syntax, detect
from training.data.faults import Faults, describe_ragged
from training.data.header import names_are_right
from training.data.layout import Row, find_footer, find_layout
from training.data.names_again import NamesAgain
from training.data.opening import comment_of, dialect_of, find_decimal, first_rows
from training.data.pieces import Pieces, count, line_count, split_lines
from training.data.sources import name_markup

SHOWN = 30


class CsvFile:
    """One pass over an open file: first the header, then the blocks.

    Attributes:
        faults: faults of the file's syntax; callers add faults of its cells.
        header: column names, normalised by `column_name`; empty if they cannot be used, which is also a fault.
        unnamed: name given to a first column without a name, if there is one; programs write row labels there.
        blank_lines: number of blank lines skipped so far.
        missing: cells that are NaN where a column is read as numbers; callers set it before the first block.
    """

    def __init__(self, stream: BinaryIO, dialect: Dialect | None = None) -> None:
        self.faults = Faults()
        self.header: tuple[str, ...] = ()
        self.header_line = 1
        self.unnamed: frozenset[str] = frozenset()
        self.blank_lines = 0
        self.missing: Collection[str] = ()
        self._dialect = self._found = dialect = dialect or Dialect()
        self._notes: list[str] = []
        self._pieces = Pieces(stream, self.faults, dialect.encoding)
        self._syntax = Syntax()
        self._width = 0
        self._again = NamesAgain()
        self._left: dict[str, list[int]] = {}  # lines that are left out, by what they are
        self._line = 1  # line at which the next block begins
        self._first = b""

    @property
    def found(self) -> Dialect:
        """How the file is written, with all fields after the last block; those that were given are as given."""
        return self._found.model_copy(update={"encoding": self._pieces.encoding or "utf-8"})

    @property
    def notes(self) -> tuple[str, ...]:
        """Return sentences about what was decided and left out so far."""
        left = (f"{_say(lines)}: {what}" for what, lines in self._left.items())
        return (*self._pieces.notes, *self._notes, *left)

    def read_header(self) -> tuple[str, ...]:
        """Read and check the first row, the column names."""
        first = self._next()
        if not self.faults and (markup := name_markup(first[:4096].decode(errors="ignore"))):
            self.faults.add(f"the file is {markup}", line=1)
        if self.faults:
            return ()
        lines = self._split_off(split_lines(first))
        if not self._pieces.is_table:
            self._syntax = detect("".join(lines), self._dialect)
        mended = self._syntax.mend("".join(lines).encode())
        lines = split_lines(mended)
        comment = comment_of(lines, self._syntax, self._dialect)
        rows, comments = first_rows(lines, self._line, self._syntax, comment, self.faults)
        if self.faults:
            return ()
        given = Dialect(header=True, skip_rows=0, skip_below=0) if self._pieces.is_table else Dialect()
        layout = find_layout(rows, self._dialect.or_else(given))
        self.header, self.header_line, self.unnamed = layout.names, layout.line, layout.unnamed
        self._notes += layout.notes
        self._width = layout.width
        if not names_are_right(self.header, self.header_line, self.faults):
            self.header = ()
            return ()
        plain = self._dialect.decimal or self._syntax.delimiter == "," or self._pieces.is_table
        decimal = "." if plain else find_decimal(rows, layout, self.faults)
        found, notes = dialect_of(layout, comment, self._syntax, decimal)
        self._found = self._dialect.or_else(found)
        self._notes += notes
        start = layout.consumed
        self._leave_out_comments(*(line for line in comments if line < self._line + start))
        self.blank_lines = sum(not line.strip(BLANKS + "\r\n") for line in lines[:start])
        if layout.header:
            self._again = NamesAgain.of(layout, rows, lines, self._line)
        self._first = "".join(lines[start:]).encode()
        self._line += start
        self._pieces.line = self._line
        if self._pieces.ended:
            self._first = self._without_footer(self._first)
        return self.header

    def _split_off(self, lines: list[str]) -> list[str]:
        """Return the lines without those that `skip_rows` leaves out."""
        skipped = min(self._dialect.skip_rows or 0, len(lines))
        self._line += skipped
        return lines[skipped:]

    def _next(self) -> bytes:
        """Return the next piece as CSV has it, without the lines at the end that are no rows."""
        self._pieces.line = self._line
        piece = self._pieces.next()
        if not self._width or not piece:
            return piece
        piece = self._syntax.mend(piece)
        return self._without_footer(piece) if self._pieces.ended else piece

    def _without_footer(self, piece: bytes) -> bytes:
        """Return the last piece without a total or a remark at its end."""
        lines = split_lines(piece)
        given = self._dialect.skip_footer
        size = find_footer(lines, given, self._width, self._syntax) if not self._pieces.is_table else 0
        dropped = sum(bool(line.strip()) for line in lines[len(lines) - size :]) if size else 0
        self._found = self._found.model_copy(update={"skip_footer": dropped if given is None else given})
        if not size:
            return piece
        last = lines[len(lines) - size :]
        shown = next(line.strip() for line in last if line.strip())
        what = f"at the end ({shown:.{SHOWN}})"
        self._notes.append(f"{what}: no row, left out as skip_footer={dropped} does; 0 keeps it")
        return "".join(lines[: len(lines) - size]).encode()

    def blocks(self, as_text: Collection[int]) -> Iterator[Block]:
        """Yield the rows below the header in non-empty blocks; rows of a wrong length are faults and omitted.

        Args:
            as_text: positions of columns to read as text; evaluated before each block, so it may change meanwhile.
        """
        while not self.faults.full:
            raw, self._first = self._first or self._next(), b""
            if not raw:
                return
            block = self._quick(raw, as_text)
            if block is not None:
                self._line += len(block)
            else:
                raw, block = self._exact(raw)
                self._line += line_count(raw)
            if block is None:
                return
            if len(block):
                yield block

    def sha256(self) -> str:
        """Return the hash of all bytes read so far: of the whole file after the last block."""
        return self._pieces.sha256()

    def _quick(self, raw: bytes, as_text: Collection[int]) -> Block | None:
        """Return the rows if each line is one row of the right length, else None."""
        syntax, decimal = self._syntax, self._found.decimal or "."
        delimiter, quote = syntax.delimiter.encode(), syntax.quote.encode()
        rows, columns, quoted = line_count(raw), self._width, quote in raw
        if (
            (b"\r" in raw and count(raw, b"\r") != raw.count(b"\r\n"))
            or (not quoted and count(raw, delimiter) != rows * (columns - 1))
            or (self._found.comment and self._found.comment.encode() in raw)
            or self._again.may_be_in(raw)
        ):
            return None
        widths = columns, len(self.header)
        cells = read_quickly(raw, rows, widths, syntax, decimal, as_text=as_text, missing=self.missing)
        if cells is None:
            return None
        return Block(cells, np.arange(self._line, self._line + rows), raw, syntax, decimal)

    def _exact(self, raw: bytes) -> tuple[bytes, Block | None]:
        """Return the consumed bytes and the rows; reads more bytes if `raw` ends inside the quotes of its first row."""
        while True:
            lines = split_lines(raw)
            rows = ExactRows(lines, self._line, self._syntax, self._found.comment or "")
            found = [(cells, line, rows.consumed) for cells, line in rows if not rows.unclosed]
            if rows.problem:
                self.faults.add(rows.problem, line=rows.line)
                return raw, None
            if not rows.unclosed:
                self.blank_lines += rows.blank_lines
                self._leave_out_comments(*rows.comments)
                return raw, self._block(found, lines)
            more = self._next()
            if self.faults:
                return raw, None
            if found:  # the unfinished row begins the next block
                begun = "".join(lines[rows.line - self._line :]).encode()
                self._first = begun + more
                self.blank_lines += rows.blank_lines
                self._leave_out_comments(*rows.comments)
                return raw[: -len(begun)], self._block(found, lines)
            if not more or len(raw) > pieces.MAX_LINE_BYTES:
                endless = f"a row of more than {pieces.MAX_LINE_BYTES >> 20} MiB; is a quote not closed?"
                self.faults.add(endless if more else "a quote is not closed", line=rows.line)
                return raw, None
            raw += more

    def _block(self, rows: list[Row], lines: list[str]) -> Block:
        columns = len(self.header)
        right = []
        for cells, line, end in rows:
            beyond = cells[columns:]
            if len(cells) == self._width == columns:
                if self._again.is_one(cells):
                    self._leave_out("the line of names again, which is no row", line)
                    continue
            elif len(cells) < columns or any(map(str.strip, beyond)):
                self.faults.add(describe_ragged(cells, columns, lines[line - self._line]), line=line)
                continue
            elif len(cells) != self._width:
                self._leave_out("a delimiter too many at the end, left out", line)
            right.append((cells[:columns], line, "".join(lines[line - self._line : end]).rstrip("\r\n").encode()))
        texts = np.empty((len(right), columns), dtype=object)
        for row, (cells, _, _) in enumerate(right):
            texts[row] = cells
        starts = np.array([line for _, line, _ in right], dtype=np.int64)
        source = [text for _, _, text in right]
        return Block(pd.DataFrame(texts, dtype=object), starts, source, self._syntax, self._found.decimal or ".")

    def _leave_out_comments(self, *lines: int) -> None:
        self._leave_out(f"comments, left out as comment={self._found.comment} does", *lines)

    def _leave_out(self, what: str, *lines: int) -> None:
        if lines:
            self._left.setdefault(what, []).extend(lines)


def _say(lines: list[int]) -> str:
    return f"line {lines[0]}" if len(lines) == 1 else f"{len(lines)} lines, the first is line {lines[0]}"
