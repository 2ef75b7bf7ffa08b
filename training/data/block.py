"""Some rows of a CSV file: their cells as read, and as they stand in the file; it must not know how they are read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

SHORT = 2000


@dataclass(frozen=True)
class Block:
    """Some rows of a file.

    Attributes:
        cells: a column for each position; numbers if every cell of the block is one and no text was asked for, else
            text, or numbers as they stand.
        lines: the line at which each row begins, the file's first being 1, shape (n,).
        source: the bytes of all rows if each is one line, else of each row without its line end.
    """

    cells: pd.DataFrame
    lines: npt.NDArray[np.int64]
    source: bytes | list[bytes]

    def __len__(self) -> int:
        return len(self.lines)

    @cached_property
    def rows(self) -> list[bytes]:
        """Each row as it stands in the file, without its line end."""
        return self.source.splitlines() if isinstance(self.source, bytes) else self.source

    def texts(self, position: int, rows: Iterable[int]) -> list[str]:
        """Return the cells of some rows of a column as they stand in the file."""
        column = self.cells[position]
        if pd.api.types.is_numeric_dtype(column):  # bool, too
            return [self._row(row)[position] for row in rows]
        return [str(column.iat[row]) for row in rows]

    def coded(self, position: int) -> tuple[npt.NDArray[np.signedinteger[Any]], list[str]]:
        """Return a column of text as codes, shape (n,), and the different texts that they stand for."""
        column = self.cells[position]
        if len(column) < SHORT:  # a category takes half a millisecond however short the column is
            codes, different = pd.factorize(column.to_numpy(dtype=object))
            return codes, list(different)
        category = column.astype("category").cat
        return np.asarray(category.codes), [str(text) for text in category.categories]

    def _row(self, row: int) -> list[str]:
        """Return the cells of a row; each row is parsed once, however many columns ask."""
        if row not in self._parsed:
            self._parsed[row] = next(csv.reader(io.StringIO(self.rows[row].decode(), newline="")))
        return self._parsed[row]

    @cached_property
    def _parsed(self) -> dict[int, list[str]]:
        return {}
