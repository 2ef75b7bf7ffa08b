"""A block of rows of a CSV file: the parsed cells and the original text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.data.dialect import COMMAS, Syntax

PADDED = re.compile(r"\s*0\d", re.ASCII)


CACHED_BYTES = 1 << 17
ZERO, DIGITS = np.uint8(ord("0")), 10


def _find_padding(raw: npt.NDArray[np.uint8], marks: bytes) -> npt.NDArray[np.int64]:
    """Return the places of zeros that follow one of the marks and precede a digit."""
    before, begins = raw[:-2], np.zeros(len(raw) - 2, dtype=np.bool_)
    for mark in marks:
        begins |= before == mark
    begins &= raw[1:-1] == ZERO
    begins &= raw[2:] - ZERO < DIGITS
    return np.flatnonzero(begins) + 1


@dataclass(frozen=True)
class Block:
    """A block of rows of a file.

    Attributes:
        cells: one column per position; numbers if all cells of the block are numbers and no text was requested, else
            the original text.
        lines: line at which each row begins, the first line of the file being 1, shape (n,).
        source: the bytes of all rows if each row is one line, else the bytes of each row without its line end.
        syntax: how the cells of `source` are separated.
        decimal: decimal separator of cells that are text.
    """

    cells: pd.DataFrame
    lines: npt.NDArray[np.int64]
    source: bytes | list[bytes]
    syntax: Syntax = COMMAS
    decimal: str = "."

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def size_bytes(self) -> int:
        """Return the bytes that the rows take in the file."""
        return len(self.source) if isinstance(self.source, bytes) else sum(map(len, self.source)) + len(self.source)

    @cached_property
    def rows(self) -> list[bytes]:
        """The original bytes of each row, without its line end."""
        return self.source.splitlines() if isinstance(self.source, bytes) else self.source

    def numbers(self, position: int) -> npt.NDArray[Any] | None:
        """Return a column whose cells were parsed as numbers, NaN if missing, shape (n,); None for any other."""
        cells = self.cells[position]
        return cells.to_numpy() if cells.dtype.kind in "iuf" else None

    def has_padding(self, position: int) -> bool:
        """Return whether a cell of a column begins with a zero and another digit, as codes do and numbers do not."""
        known = () if self.numbers(position) is not None else pd.unique(self.cells[position])
        if not len(known) or any(isinstance(cell, int) for cell in known):  # pandas makes int of what is beyond 64 bits
            return position in self._padded
        return any(PADDED.match(str(cell)) for cell in known)

    def texts(self, position: int, rows: Iterable[int]) -> list[str]:
        """Return the original text of the cells of a column in the given rows."""
        column = self.cells[position]
        if pd.api.types.is_numeric_dtype(column):  # includes bool
            return [self._row(row)[position] for row in rows]
        return [str(column.iat[row]) for row in rows]

    def encode(self, position: int, missing: Collection[str] = ()) -> tuple[npt.NDArray[np.int64], list[str]]:
        """Return a text column as codes, shape (n,), -1 if missing, and the distinct stripped texts by first row."""
        codes, found = pd.factorize(self.cells[position])
        place: dict[str, int] = {}
        ranks = [-1 if (text := str(raw).strip()) in missing else place.setdefault(text, len(place)) for raw in found]
        return np.array([*ranks, -1], dtype=np.int64)[codes], list(place)

    @cached_property
    def _padded(self) -> frozenset[int]:
        """The columns with such a cell, of lines that each are a row."""
        assert isinstance(self.source, bytes)  # else, all cells are text
        raw = np.frombuffer(b"\n%b\n" % self.source, dtype=np.uint8)
        marks = f"\n {self.syntax.delimiter}{self.syntax.quote}".encode()
        pieces = range(0, len(raw) - 2, CACHED_BYTES)
        found = np.concatenate(
            [start + _find_padding(raw[start : start + CACHED_BYTES + 2], marks) for start in pieces]
        )
        if not len(found):
            return frozenset()
        quoted = np.logical_xor.accumulate(raw == ord(self.syntax.quote))
        ends = np.flatnonzero(((raw == ord(self.syntax.delimiter)) | (raw == ord("\n"))) & ~quoted)
        first = np.maximum.accumulate(np.where(raw[ends] == ord("\n"), np.arange(len(ends)), 0))
        ended = ends.searchsorted(found) - 1
        return frozenset(np.unique(ended - first[ended]).tolist())

    def _row(self, row: int) -> list[str]:
        """Return the cells of a row; each row is parsed only once, for all columns."""
        if row not in self._parsed:
            syntax, text = self.syntax, io.StringIO(self.rows[row].decode(), newline="")
            reader = csv.reader(
                text, delimiter=syntax.delimiter, quotechar=syntax.quote, skipinitialspace=syntax.spaced
            )
            self._parsed[row] = next(reader)
        return self._parsed[row]

    @cached_property
    def _parsed(self) -> dict[int, list[str]]:
        return {}
