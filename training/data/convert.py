"""Convert typed columns to float32 cells, block by block, with the marks of the rows.

Memory: the cells once, in float32, and one block of the file; twice for a moment if the first rows are much longer
than the others, so that room runs out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from modelstore.dates import FORMATS, parse_date
from modelstore.numbers import PLAIN, describe_reading, parse_number
from training.data.block import Block
from training.data.cells import LARGEST, parse_either, wrong_number
from training.data.columns import Column, cells_of
from training.data.faults import Faults
from training.data.precision import Merging, Values
from training.data.repeats import Marks, mix, number_bits, text_bits
from training.data.scan import numbers_of

Scalar = TypeVar("Scalar", bound=np.generic)
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

GAP = number_bits(np.array([np.nan]))  # bits of a missing value
ROOM = 1.02  # spare room: the rows to come are about as long as those that were read


class Cells:
    """Collects the cells of columns; after the first fault, only faults are collected.

    Args:
        columns: the used columns.
        marked: names of the columns that count for the marks, whether they are used or not.
        positions: position of each column in the file, by name.
        missing: texts that stand for a missing value.
        group: name of the column whose values are groups of rows, if there is one.
    """

    def __init__(
        self,
        faults: Faults,
        columns: Sequence[Column],
        marked: Collection[str],
        positions: Mapping[str, int],
        missing: frozenset[str],
        *,
        group: str = "",
    ) -> None:
        self.seen = 0
        self._seen_bytes = 0
        self._faults = faults
        self._missing = missing
        self._columns = {column.name: column for column in columns}
        self._marked = frozenset(marked)
        self._positions = {name: positions[name] for name in sorted({*self._columns, *marked})}  # order of the marks
        self._places = dict(zip(self._columns, cells_of(tuple(columns)), strict=True))
        self._ranks = {column.name: {text: rank for rank, text in enumerate(column.texts)} for column in columns}
        self._x = np.empty((0, sum(column.width for column in columns)), dtype=np.float32)
        self._lines = np.empty(0, dtype=np.int64)
        self._marks = np.empty(0, dtype=np.uint64)
        is_number = any(column.name == group and column.type == "numeric" for column in columns)
        self._group, self._groups = group if is_number else None, np.empty(0, dtype=np.uint64)
        self._merging = {column.name: Merging() for column in columns if column.type == "numeric"}

    def add(self, block: Block, file_bytes: int, known: Mapping[int, Values] | None = None) -> None:
        """Add the rows of a block, or record their faults; `known` are columns that were read as numbers already."""
        first, self.seen = self.seen, self.seen + len(block)
        self._seen_bytes += block.size_bytes
        if self._faults:
            self._hold(0)
        elif self.seen > len(self._x):
            self._hold(max(self.seen, int(ROOM * self.seen * file_bytes / self._seen_bytes)))
        marks = np.zeros(len(block), dtype=np.uint64)
        for name, position in self._positions.items():
            column, numbers = self._columns.get(name), (known or {}).get(position)
            cells, bits = self._read(block, position, column, numbers)
            if name in self._marked:
                mix(marks, bits)
            if cells is not None and not self._faults:
                self._x[first : self.seen, self._places[name]] = cells
                if column and name == self._group:  # of the numbers before they are rounded, however they are written
                    groups = np.zeros(len(block), dtype=np.uint64)
                    mix(groups, bits if column.reading == PLAIN else number_bits(cells[:, 0]))
                    self._groups[first : self.seen] = groups
        if not self._faults:
            self._lines[first : self.seen], self._marks[first : self.seen] = block.lines, marks

    def result(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], Marks, Marks | None]:
        """Return cells, float32 (N, W), lines, marks of all rows and of their groups, None if those are no numbers."""
        read = slice(self.seen)
        return self._x[read], self._lines[read], self._marks[read], self._groups[read] if self._group else None

    def problems(self) -> tuple[tuple[str, str], ...]:
        """Return columns whose distinct values become equal in float32, each with a sentence."""
        return tuple((name, problem) for name, merging in self._merging.items() if (problem := merging.problem()))

    def _read(
        self, block: Block, position: int, column: Column | None, numbers: Values | None
    ) -> tuple[Floats | None, Marks]:
        """Return the cells of a column, (n, width), none if it is not used, and the bits of its values, (n,)."""
        if column is None:
            numbers = block.numbers(position) if numbers is None else numbers
        elif numbers is None and column.type == "numeric" and column.reading == "plain":
            numbers = numbers_of(block, position, self._missing)
        if numbers is not None:
            return self._numbers(block, column, numbers) if column else None, number_bits(numbers)
        codes, texts = block.encode(position, self._missing)
        bits = np.append(text_bits(texts, block.decimal), GAP)[codes]
        return self._texts(block, column, codes, texts) if column else None, bits

    def _texts(self, block: Block, column: Column, codes: Codes, texts: list[str]) -> Floats:
        """Return the cells of a column that was read as text, (n, width)."""
        if column.type in {"categorical", "boolean"}:
            ranks = self._ranks[column.name] | _bits_of(column, texts, block.decimal)
            table = np.array([ranks.get(text, len(ranks)) for text in texts], dtype=np.float64).reshape(-1, 1)
            if column.type == "boolean":
                self._require(block, column, codes, texts, lambda text: text in ranks)
        elif column.type == "datetime":
            moments = [parse_date(text, column.format) for text in texts]
            self._require(block, column, codes, texts, lambda text: parse_date(text, column.format) is not None)
            table = np.array([moment or (np.nan, np.nan) for moment in moments], dtype=np.float64).reshape(-1, 2)
        else:
            parsed = [parse_number(text, column.reading) for text in texts]
            values = np.array([np.nan if value is None else value for value in parsed], dtype=np.float64)
            values[np.abs(values) > LARGEST] = np.nan
            table = values.reshape(-1, 1)
            self._require(block, column, codes, texts, set(np.array(texts, object)[~np.isnan(values)]).__contains__)
            if not np.isnan(values).any():
                self._merging[column.name].add(values, np.bincount(codes[codes >= 0], minlength=len(values)))
        return np.concatenate([table, np.full((1, column.width), np.nan)])[codes]

    def _numbers(self, block: Block, column: Column, values: Values) -> Floats:
        cells = values.astype(np.float64, copy=False)  # as in a request
        infinite = np.flatnonzero(np.abs(cells) > LARGEST)[:10].tolist()
        for row, text in zip(infinite, block.texts(self._positions[column.name], infinite), strict=True):
            self._faults.add(wrong_number(text), line=int(block.lines[row]), column=column.name)
        if not infinite and column.name in self._merging:
            self._merging[column.name].add(values[~np.isnan(values)] if values.dtype.kind == "f" else values)
        return cells.reshape(-1, 1)

    def _require(
        self, block: Block, column: Column, codes: Codes, texts: list[str], fits: Callable[[str], bool]
    ) -> None:
        """Record cells that are not of the column's type."""
        wrong = {place: text for place, text in enumerate(texts) if not fits(text)}
        if not wrong:
            return
        for row in np.flatnonzero(np.isin(codes, list(wrong)))[:10].tolist():
            problem = _wrong_cell(column, wrong[int(codes[row])])
            self._faults.add(problem, line=int(block.lines[row]), column=column.name)

    def _hold(self, rows: int) -> None:
        """Copy the columns to new arrays of `rows` rows."""
        self._x, self._lines = extend(self._x, rows), extend(self._lines, rows)
        self._marks = extend(self._marks, rows)
        self._groups = extend(self._groups, rows if self._group else 0)


def _bits_of(column: Column, texts: list[str], decimal: str) -> dict[str, int]:
    """Return 0 or 1 for each text that is such a number, as `0.0` is, where a boolean column has these two."""
    if column.type != "boolean" or parse_either(list(column.texts), ",").tolist() != [0, 1]:
        return {}
    values = parse_either(texts, decimal).tolist()
    return {text: int(value) for text, value in zip(texts, values, strict=True) if value in (0, 1)}


def extend(column: npt.NDArray[Scalar], rows: int) -> npt.NDArray[Scalar]:
    """Return a copy with `rows` rows; the added ones are uninitialised."""
    longer = np.empty((rows, *column.shape[1:]), dtype=column.dtype)
    kept = min(rows, len(column))
    longer[:kept] = column[:kept]
    return longer


def _wrong_cell(column: Column, text: str) -> str:
    if column.type == "datetime":
        return f"expected a date written as {FORMATS[column.format]}, got {text[:40]!r}"
    if column.type == "boolean":
        return f"expected one of {', '.join(map(repr, column.texts))}, got {text[:40]!r}"
    if column.reading != "plain":
        return f"expected {describe_reading(column.reading)}, got {text[:40]!r}"
    return wrong_number(text)
