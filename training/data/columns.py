"""Typed columns of a table: what the cells of each one mean.

A row is W float32 cells; a column takes one of them, a date two. It must not know files or networks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from modelstore import ColumnType


@dataclass(frozen=True)
class Column:
    """One feature column.

    Attributes:
        name: as in the file, normalised by `column_name`.
        type: what the cells mean. numeric: the number. categorical: a position in `texts`. boolean: 0 or 1, the
            position in `texts`. datetime: whole days since 1970-01-01, then seconds of the day. NaN is missing.
        texts: texts of the values of a categorical column, by position; of a boolean one, those that stand for false
            and for true, each the first in the file.
        reading: how the numbers of a numeric column are written, one of `modelstore.numbers.READINGS`.
        format: of a datetime column: `default` for ISO 8601, else a key of `modelstore.dates.FORMATS`.
        counts: rows of each text in the training split, by position; empty until categories are fitted.
        other: training rows whose text is no category; their cell is `len(texts)`.
    """

    name: str
    type: ColumnType = "numeric"
    texts: tuple[str, ...] = ()
    reading: str = "plain"
    format: str = "default"
    counts: tuple[int, ...] = ()
    other: int = 0

    @property
    def width(self) -> int:
        """Return the number of cells."""
        return 2 if self.type == "datetime" else 1


@dataclass(frozen=True)
class TargetColumn:
    """The column that is predicted.

    Attributes:
        codes: value of each row as a position in `values`, -1 if missing, int32, shape (N,).
        values: distinct stripped texts in order of their first row.
        numbers: the same as numbers, NaN if missing, float64, shape (N,); None if a text is no number.
    """

    codes: npt.NDArray[np.int32]
    values: tuple[str, ...]
    numbers: npt.NDArray[np.float64] | None = None


def cells_of(columns: tuple[Column, ...]) -> tuple[slice, ...]:
    """Return the cells of each column in a row."""
    ends, end = [], 0
    for column in columns:
        ends.append(slice(end, end := end + column.width))
    return tuple(ends)
