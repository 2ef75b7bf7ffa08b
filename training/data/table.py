"""Read a CSV file into typed columns and the target.

Types are decided on all rows. A table of numbers is read once, any other twice: for the profiles, then for the cells.
Faults are located by line and column. N is rows, F columns and W cells everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from modelstore import ColumnType, DataOptions, Dialect, LeftOut
from training.data.columns import Column, TargetColumn
from training.data.convert import Cells
from training.data.csv_blocks import CsvFile
from training.data.decide import DecidedColumn, decide, not_chosen
from training.data.faults import Faults
from training.data.header import list_names, require_columns
from training.data.repeats import Marks
from training.data.scan import NeedsText, add_block, marked_of, profiles_of, read_missing, require_texts
from training.data.target_cells import TargetCells
from training.errors import DatasetError


@dataclass(frozen=True)
class Table:
    """One data file: typed feature columns and the target.

    Attributes:
        file: bare file name.
        sha256: SHA-256 of the file's bytes.
        columns: the feature columns, length F.
        target: the column that is predicted.
        x: cells, float32, shape (N, W); NaN is missing.
        lines: line at which each row begins, the first line of the file being 1, int64, shape (N,); -n of the n-th
            row of feedback.
        marks: 64-bit mark of each row, shape (N,): of its cells in the columns `marked` alone, a number as its value,
            any other cell as its text.
        groups: 64-bit mark of each row, equal for equal numbers in the column of the groups, before rounding, shape
            (N,); None if there is no such column, or it has no numbers.
        warnings: sentences about suspicious columns.
        left_out: columns of the file that are not used, each with the reason.
        marked: names of the columns that count for `marks`, sorted: all but the target and those that label rows.
        dialect: how the file is written, with all fields, as given or detected.
    """

    file: str
    sha256: str
    columns: tuple[Column, ...]
    target: TargetColumn
    x: npt.NDArray[np.float32]
    lines: npt.NDArray[np.int64]
    marks: Marks
    groups: Marks | None
    warnings: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    marked: tuple[str, ...]
    dialect: Dialect


def read_table(
    folder: Path,
    file: str,
    target: str,
    features: Sequence[str] = (),
    *,
    options: DataOptions | None = None,
    columns: tuple[Column, ...] = (),
    marked: Sequence[str] = (),
    dialect: Dialect | None = None,
    unless_said: ColumnType | None = None,
    group: str = "",
) -> Table:
    """Read `<folder>/<file>`.

    Args:
        folder: the data folder.
        file: bare file name.
        target: the column that is predicted.
        features: wanted feature columns, in the wanted order; empty means all but the target.
        options: types and texts of missing values.
        columns: columns of another table whose types hold here too, such as those of the training file for a test
            file; a text that is none of `Column.texts` then has the cell `len(texts)`.
        marked: columns of that table that count for the marks, here too if they are there.
        dialect: how the file is written, as far as it is known.
        unless_said: type of the columns to which `options` gives none; None decides by their cells.
        group: the column whose values are groups of rows, if there is one.

    Raises:
        DatasetError: if the file is missing, is not CSV, lacks a column, or has a cell that is not of its column's
            type; names the first ten faults by line and column.
    """
    path = folder / file
    if not path.is_file():
        raise DatasetError(file, f"no such file in {folder}; `python -m training data` writes the built-in ones")
    wanted = tuple(column.name for column in columns) or tuple(features)
    reading = _Reading(path, target, wanted, options, dialect, marked=marked, unless_said=unless_said, group=group)
    decisions = tuple(map(DecidedColumn, columns)) or reading.decide()
    return reading.table(decisions)


class _Reading:
    """Reads one file as often as its columns need."""

    def __init__(
        self,
        path: Path,
        target: str,
        features: tuple[str, ...],
        options: DataOptions | None,
        dialect: Dialect | None,
        *,
        marked: Sequence[str],
        unless_said: ColumnType | None,
        group: str,
    ) -> None:
        self._path = path
        self._dialect = self._found = dialect or Dialect()
        self._notes: tuple[str, ...] = ()
        self._marked, self._unless_said = tuple(marked), unless_said
        self._target, self._group = target, group
        self._features = features
        self._options = options or DataOptions()
        self._missing = frozenset(self._options.missing_texts)
        self._as_text = {name for name, asked in self._options.types.items() if asked != "numeric"} | {target}
        self._chosen: tuple[LeftOut, ...] = ()
        self._cells: Cells | None = None  # of a table of numbers, once its only reading is done
        self._target_cells = TargetCells(target)
        self._sha256 = ""
        self._header: tuple[str, ...] = ()
        self._restarts = 0

    def decide(self) -> tuple[DecidedColumn, ...]:
        """Return what each wanted column is, from all rows."""
        while True:
            try:
                decisions = self._scan()
            except NeedsText as needs:
                self._as_text |= {self._header[position] for position in needs.positions}
                if self._restarts > 1:  # columns fail one after the other
                    self._as_text |= set(self._header)
                self._restarts += 1
            else:
                return decisions

    def table(self, decisions: tuple[DecidedColumn, ...]) -> Table:
        """Return the cells of the columns that are used."""
        used = tuple(decision.column for decision in decisions if decision.left_out is None)
        left_out = tuple(decision.left_out for decision in decisions if decision.left_out) + self._chosen
        if not used:
            reasons = "; ".join(f"{column.name!r} {column.detail}" for column in left_out[:3])
            raise DatasetError(self._path.name, f"expected at least one column to learn from: {reasons}")
        if self._cells is None or len(used) < len(decisions):
            self._cells = None  # free its memory first
            self._cells = self._read(used)
        named = [(d.column.name, said) for d in decisions for said in d.warnings] + list(self._cells.problems())
        named += [(self._target, said) for said in self._target_cells.warnings()]
        warnings = tuple(f"{self._path.name}: {note}" for note in self._notes)
        warnings += tuple(f"{self._path.name}, column {name!r}: {said}" for name, said in named)
        target = self._target_cells.column()
        cells, written = self._cells.result(), (self._marked, self._found)
        return Table(self._path.name, self._sha256, used, target, *cells, warnings, left_out, *written)

    def _scan(self) -> tuple[DecidedColumn, ...]:
        """Read all rows for the profiles of all columns; keep the cells if all columns are numbers."""
        with self._path.open("rb") as stream:
            source = CsvFile(stream, self._dialect)
            names = self._begin(source)
            place = {name: position for position, name in enumerate(self._header)}
            profiles = profiles_of(self._header, self._options, source.unnamed)
            as_text = {place[name] for name in self._as_text & set(self._header)}
            others = [position for position in place.values() if position != place[self._target]]
            self._marked = marked_of(profiles[position] for position in others)
            cells: Cells | None = None
            if as_text == {place[self._target]}:
                kinds = [Column(name) for name in names]
                cells = Cells(source.faults, kinds, self._marked, place, self._missing, group=self._group)
            for block in source.blocks(as_text):
                found = add_block(profiles, block, as_text, others, self._missing)
                self._target_cells.add(block, place[self._target], self._missing)
                if cells:
                    cells.add(block, self._path.stat().st_size, found)
            self._end(source)
            types = {**dict.fromkeys(names, self._unless_said), **self._options.types}
            require_texts(profiles, as_text, [place[name] for name in names if types[name] != "numeric"])
        expected, self._marked = self._marked, marked_of(profiles[position] for position in others)
        self._cells = cells if self._marked == expected else None
        decisions = tuple(decide(profiles[place[name]], types[name]) for name in names)
        faults = Faults()
        for decision in filter(lambda decision: decision.fault, decisions):
            faults.add(decision.fault, column=decision.column.name)
        if faults:
            raise DatasetError.of(self._path.name, faults.sorted())
        return decisions

    def _read(self, used: tuple[Column, ...]) -> Cells:
        """Read the cells of typed columns."""
        with self._path.open("rb") as stream:
            source = CsvFile(stream, self._dialect)
            self._begin(source)
            place = {name: position for position, name in enumerate(self._header)}
            marked = [name for name in self._marked if name in place]
            cells = Cells(source.faults, used, marked, place, self._missing, group=self._group)
            texts = {column.name for column in used if column.type != "numeric" or column.reading != "plain"}
            as_text = {place[name] for name in texts | (self._as_text & set(self._header))}
            for block in source.blocks(as_text):
                cells.add(block, self._path.stat().st_size)
                self._target_cells.add(block, place[self._target], self._missing)
            self._end(source)
        return cells

    def _begin(self, source: CsvFile) -> tuple[str, ...]:
        """Read the header and return the names of the wanted columns."""
        header = source.read_header()
        names = self._features or tuple(name for name in header if name != self._target)
        if header:
            self._require(source.faults, header, names)
        if source.faults:
            raise DatasetError.of(self._path.name, source.faults.sorted())
        if not read_missing(source, self._missing):
            self._as_text |= set(header)
        self._header, self._target_cells = header, TargetCells(self._target)
        self._chosen = not_chosen([name for name in header if name != self._target and name not in set(names)])
        return names

    def _require(self, faults: Faults, header: tuple[str, ...], features: Sequence[str]) -> None:
        """Record faults of the names that a person gave."""
        require_columns(faults, header, (*features, self._target))
        require_columns(faults, header, self._options.types, ", to which `types` gives a type")
        require_columns(faults, header, self._options.optional, ", which `optional` names")
        if self._target in features:
            faults.add("the target cannot be a feature", column=self._target)
        if not features:
            faults.add(f"expected at least one feature column beside the target, got {list_names(header)}")

    def _end(self, source: CsvFile) -> None:
        if not (self._target_cells or source.faults):
            source.faults.add("expected data rows below the header, got none")
        if source.faults:
            raise DatasetError.of(self._path.name, source.faults.sorted())
        self._sha256, self._notes, self._found = source.sha256(), source.notes, source.found
