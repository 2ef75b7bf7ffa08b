"""Read a CSV file into float32 columns and class codes.

Faults are located by line and column. N is rows and F features everywhere. Memory: the features once, in float32, and
one block of the file; twice for a moment if the first rows are much longer than the others, so that room runs out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from modelstore import DataOptions, LeftOut
from modelstore.reading import MAX_NAME_CHARACTERS
from modelstore.wording import nearest
from training.data.block import Block
from training.data.cells import LARGEST, is_word, numbers, parse, wrong_number
from training.data.columns import Column, TargetColumn
from training.data.csv_blocks import CsvFile
from training.data.faults import Faults
from training.data.precision import Merging, Values
from training.data.repeats import Marks, mark
from training.errors import DatasetError

Scalar = TypeVar("Scalar", bound=np.generic)

MAX_LABEL_CHARACTERS = MAX_NAME_CHARACTERS
ROOM = 1.02  # spare room: the rows to come are about as long as those that were read


@dataclass(frozen=True)
class Table:
    """One data file: numeric features and the class column.

    Attributes:
        file: bare file name.
        sha256: SHA-256 of the file's bytes.
        columns: the feature columns, length F.
        x: cells, float32, shape (N, W); NaN is missing.
        target: the column to predict.
        lines: line at which each row begins, the first line of the file being 1, int64, shape (N,).
        marks: 64-bit mark of each row, equal for rows with equal features in the file, shape (N,).
        warnings: sentences about features with distinct values that become equal in float32.
        left_out: columns of the file that are not used, each with the reason.
    """

    file: str
    sha256: str
    columns: tuple[Column, ...]
    x: npt.NDArray[np.float32]
    target: TargetColumn
    lines: npt.NDArray[np.int64]
    marks: Marks
    warnings: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()


def read_table(
    folder: Path, file: str, target: str, features: Sequence[str] = (), *, options: DataOptions | None = None
) -> Table:
    """Read `<folder>/<file>` in one pass.

    Args:
        folder: the data folder.
        file: bare file name.
        target: the class column.
        features: required feature columns, in the wanted order; empty means all but the target.
        options: types and missing values, where a person sets them.

    Raises:
        DatasetError: if the file is missing, is not CSV, lacks a column, or has a cell that is not a finite number or
            an empty class; names the first ten faults by line and column.
    """
    path = folder / file
    if not path.is_file():
        raise DatasetError(file, f"no such file in {folder}; `python -m training data` writes the built-in ones")
    with path.open("rb") as stream:
        source = CsvFile(stream)
        header = source.read_header()
        names = tuple(features) or tuple(name for name in header if name != target)
        if header:
            _require_columns(source.faults, header, target, names)
        if source.faults:
            raise DatasetError.of(file, source.faults.sorted())
        wanted = _Columns(source.faults, header, names, target)
        for block in source.blocks({header.index(target)}):
            wanted.add(block, path.stat().st_size)
        if not (wanted.seen or source.faults):
            source.faults.add("expected data rows below the header, got none")
        if source.faults:
            raise DatasetError.of(file, source.faults.sorted())
    return wanted.table(file, source.sha256())


class _Columns:
    """Collects the wanted columns block by block; after the first fault, only faults are collected."""

    def __init__(self, faults: Faults, header: tuple[str, ...], features: tuple[str, ...], target: str) -> None:
        self.seen = 0
        self._seen_bytes = 0
        self._faults = faults
        position_of = {name: position for position, name in enumerate(header)}
        self._features = features
        self._positions = [position_of[name] for name in features]
        self._target = target
        self._target_position = position_of[target]
        self._x = np.empty((0, len(features)), dtype=np.float32)
        self._values: dict[str, int] = {}
        self._codes = np.empty(0, dtype=np.int32)
        self._lines = np.empty(0, dtype=np.int64)
        self._marks = np.empty(0, dtype=np.uint64)
        self._merging = [Merging() for _ in features]
        self._unusable: set[str] = set()  # columns with a fault as a whole; no further faults are reported for them

    def add(self, block: Block, file_bytes: int) -> None:
        """Add the rows of a block, or record their faults."""
        columns = [self._numbers(block, name, at) for name, at in zip(self._features, self._positions, strict=True)]
        codes = self._classes(block)
        first, self.seen = self.seen, self.seen + len(block)
        self._seen_bytes += block.size_bytes
        if self._faults:
            self._hold(0)
            return
        if self.seen > len(self._x):
            self._hold(max(self.seen, int(ROOM * self.seen * file_bytes / self._seen_bytes)))
        marks = np.zeros(len(block), dtype=np.uint64)
        for position, (column, merging) in enumerate(zip(columns, self._merging, strict=True)):
            self._x[first : self.seen, position] = column.astype(np.float64, copy=False)  # as in a request
            merging.add(column)
            mark(marks, column)
        self._codes[first : self.seen], self._lines[first : self.seen] = codes, block.lines
        self._marks[first : self.seen] = marks

    def table(self, file: str, sha256: str) -> Table:
        """Return the collected rows as a table."""
        warnings = tuple(
            f"{file}, column {name!r}: {problem}"
            for name, merging in zip(self._features, self._merging, strict=True)
            if (problem := merging.problem())
        )
        read, values = slice(self.seen), tuple(self._values)
        x, codes, lines, marks = self._x[read], self._codes[read], self._lines[read], self._marks[read]
        known = np.append(parse(list(values)), np.nan)  # code -1 is missing
        numbers = None if np.isnan(known[:-1]).any() else known[codes]
        target = TargetColumn(codes, values, numbers)
        return Table(file, sha256, tuple(map(Column, self._features)), x, target, lines, marks, warnings)

    def _hold(self, rows: int) -> None:
        """Copy the columns to new arrays of `rows` rows."""
        self._x = _extend(self._x, rows)
        self._codes = _extend(self._codes, rows)
        self._lines, self._marks = _extend(self._lines, rows), _extend(self._marks, rows)

    def _numbers(self, block: Block, name: str, position: int) -> Values:
        """Return a column of the block as float64 or integers (n,), and record cells that are not finite float32."""
        if name in self._unusable or self._faults.full:
            return np.zeros(len(block))
        cells = block.cells[position]
        if cells.dtype.kind in "iu":  # float64 cannot represent all integers
            return cells.to_numpy()
        values = numbers(cells)
        wrong = np.flatnonzero(~(np.abs(values) <= LARGEST)).tolist()
        if wrong:
            texts = dict(zip(wrong, block.texts(position, wrong), strict=True))
            words = [row for row in wrong if is_word(texts[row])]
            if 2 * len(words) > len(block):
                self._unusable.add(name)
                problem = f"is text, such as {texts[words[0]]!r:.40}: list the numeric features to use, or encode it"
                self._faults.add(problem, column=name)
                return values
            for row in wrong[:10]:
                self._faults.add(wrong_number(texts[row]), line=int(block.lines[row]), column=name)
        return values

    def _classes(self, block: Block) -> npt.NDArray[np.int32]:
        """Return the codes of the target column, (n,); -1 for an empty cell."""
        codes, texts = block.encode(self._target_position)
        labels = [text.strip() for text in texts]
        for label in labels:
            if label:
                self._values.setdefault(label, len(self._values))
        ranks: npt.NDArray[np.int32] = np.array([self._values.get(label, -1) for label in labels], dtype=np.int32)[
            codes
        ]
        return ranks


def _extend(column: npt.NDArray[Scalar], rows: int) -> npt.NDArray[Scalar]:
    """Return a copy with `rows` rows; the added ones are uninitialised."""
    longer = np.empty((rows, *column.shape[1:]), dtype=column.dtype)
    kept = min(rows, len(column))
    longer[:kept] = column[:kept]
    return longer


def _require_columns(faults: Faults, header: tuple[str, ...], target: str, features: tuple[str, ...]) -> None:
    there = ", ".join(map(repr, header[:20])) + (", ..." if len(header) > 20 else "")
    known = set(header)
    for name in (*features, target):
        if name not in known:
            meant = nearest(name, header)
            perhaps = f"; perhaps {meant!r} is meant" if meant else ""
            faults.add(f"expected this column, got {there}{perhaps}", column=name)
    if target in features:
        faults.add("the target cannot be a feature", column=target)
    if not features:
        faults.add(f"expected at least one feature column beside the target, got {there}")
