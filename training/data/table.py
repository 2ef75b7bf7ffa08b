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

from modelstore import DataOptions, Dialect, LeftOut
from modelstore.numbers import parse_number
from modelstore.reading import MAX_NAME_CHARACTERS
from modelstore.wording import nearest
from training.data.block import Block
from training.data.columns import Column, TargetColumn
from training.data.convert import Cells
from training.data.csv_blocks import CsvFile
from training.data.decide import Decision, decide
from training.data.faults import Faults
from training.data.profile import Profile
from training.data.repeats import Marks
from training.data.scan import NeedsText, add_block, missing_of, profiles_of, read_missing
from training.errors import DatasetError

MAX_LABEL_CHARACTERS = MAX_NAME_CHARACTERS
LISTED = 20  # columns that were not chosen, each by name; more are one entry
UNMARKED = ("row_number", "id", "free_text", "too_many_values", "no_name", "ambiguous_date")


@dataclass(frozen=True)
class Table:
    """One data file: typed feature columns and the target.

    Attributes:
        file: bare file name.
        sha256: SHA-256 of the file's bytes.
        columns: the feature columns, length F.
        x: cells, float32, shape (N, W); NaN is missing.
        target: the column that is predicted.
        lines: line at which each row begins, the first line of the file being 1, int64, shape (N,).
        marks: 64-bit mark of each row, equal for rows with equal features in the file, shape (N,); it depends on the
            row's values only, not on other rows. Constant columns count, ids do not.
        warnings: sentences about suspicious columns.
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
    folder: Path,
    file: str,
    target: str,
    features: Sequence[str] = (),
    *,
    options: DataOptions | None = None,
    columns: tuple[Column, ...] = (),
    dialect: Dialect | None = None,
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
        dialect: how the file is written, as far as it is known.

    Raises:
        DatasetError: if the file is missing, is not CSV, lacks a column, or has a cell that is not of its column's
            type; names the first ten faults by line and column.
    """
    path = folder / file
    if not path.is_file():
        raise DatasetError(file, f"no such file in {folder}; `python -m training data` writes the built-in ones")
    reading = _Reading(path, target, tuple(column.name for column in columns) or tuple(features), options, dialect)
    decisions = tuple(map(Decision, columns)) or reading.decide()
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
    ) -> None:
        self._path = path
        self._dialect = dialect
        self._notes: tuple[str, ...] = ()
        self._target = target
        self._features = features
        self._options = options or DataOptions()
        self._missing = missing_of(self._options)
        self._as_text = {name for name, asked in self._options.types.items() if asked != "numeric"} | {target}
        self._chosen: tuple[LeftOut, ...] = ()
        self._cells: Cells | None = None  # of a table of numbers, once its only reading is done
        self._classes = Profile(target, np.inf)
        self._codes: list[npt.NDArray[np.int32]] = []
        self._sha256 = ""
        self._header: tuple[str, ...] = ()
        self._ranks: dict[str, int] = {}
        self._restarts = 0

    def decide(self) -> tuple[Decision, ...]:
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

    def table(self, decisions: tuple[Decision, ...]) -> Table:
        """Return the cells of the columns that are used."""
        used = tuple(decision.column for decision in decisions if decision.left_out is None)
        left_out = tuple(decision.left_out for decision in decisions if decision.left_out) + self._chosen
        if not used:
            reasons = "; ".join(f"{column.name!r} {column.detail}" for column in left_out[:3])
            raise DatasetError(self._path.name, f"expected at least one column to learn from: {reasons}")
        if self._cells is None or len(used) < len(decisions):
            self._cells = None  # free its memory first
            self._cells = self._read(decisions, used)
        x, lines, marks = self._cells.result()
        named = [(d.column.name, said) for d in decisions for said in d.warnings] + list(self._cells.problems())
        warnings = tuple(f"{self._path.name}: {note}" for note in self._notes)
        warnings += tuple(f"{self._path.name}, column {name!r}: {said}" for name, said in named)
        return Table(self._path.name, self._sha256, used, x, self._target_column(), lines, marks, warnings, left_out)

    def _scan(self) -> tuple[Decision, ...]:
        """Read all rows for their profiles; keep the cells if all columns are numbers."""
        with self._path.open("rb") as stream:
            source = CsvFile(stream, self._dialect)
            names = self._begin(source, (*self._options.types, *self._options.optional))
            place = {name: position for position, name in enumerate(self._header)}
            profiles = profiles_of(self._header, self._options)
            wanted = [place[name] for name in names]
            as_text = {place[name] for name in self._as_text & set(self._header)}
            cells: Cells | None = None
            if as_text == {place[self._target]}:
                plain = [Column(name) for name in names]
                cells = Cells(source.faults, plain, plain, place, self._missing)
            for block in source.blocks(as_text):
                found = add_block(profiles, block, as_text, wanted, self._missing)
                self._add_target(block, place[self._target])
                if cells:
                    cells.add(block, self._path.stat().st_size, found)
            self._end(source)
        decisions = tuple(decide(profiles[at], self._options.types.get(self._header[at])) for at in wanted)
        faults = Faults()
        for decision in decisions:
            if decision.fault:
                faults.add(decision.fault, column=decision.column.name)
        if faults:
            raise DatasetError.of(self._path.name, faults.sorted())
        self._cells = cells
        return decisions

    def _read(self, decisions: tuple[Decision, ...], used: tuple[Column, ...]) -> Cells:
        """Read the cells of typed columns."""
        with self._path.open("rb") as stream:
            source = CsvFile(stream, self._dialect)
            self._begin(source)
            place = {name: position for position, name in enumerate(self._header)}
            marked = [d.column for d in decisions if d.left_out is None or d.left_out.reason not in UNMARKED]
            cells = Cells(source.faults, used, marked, place, self._missing)
            texts = {column.name for column in marked if column.type != "numeric" or column.reading != "plain"}
            as_text = {place[name] for name in texts | (self._as_text & set(self._header))}
            for block in source.blocks(as_text):
                cells.add(block, self._path.stat().st_size)
                self._add_target(block, place[self._target])
            self._end(source)
        return cells

    def _begin(self, source: CsvFile, mentioned: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Read the header and return the names of the wanted columns; those that options mention must be there too."""
        header = source.read_header()
        names = self._features or tuple(name for name in header if name != self._target)
        if header:
            _require_columns(source.faults, header, self._target, names, mentioned)
        if source.faults:
            raise DatasetError.of(self._path.name, source.faults.sorted())
        if not read_missing(source, self._missing):
            self._as_text |= set(header)
        self._header, self._codes, self._ranks = header, [], {}
        self._classes = Profile(self._target, np.inf)
        self._chosen = _not_chosen([name for name in header if name != self._target and name not in set(names)])
        return names

    def _end(self, source: CsvFile) -> None:
        if not (self._codes or source.faults):
            source.faults.add("expected data rows below the header, got none")
        if source.faults:
            raise DatasetError.of(self._path.name, source.faults.sorted())
        self._sha256, self._notes = source.sha256(), source.notes

    def _add_target(self, block: Block, position: int) -> None:
        codes, texts = block.encode(position, self._missing)
        self._classes.add_texts(codes, texts, block.lines, block.decimal)
        counts = self._classes.counts or {}
        if len(self._ranks) < len(counts):
            self._ranks = {text: rank for rank, text in enumerate(counts)}
        ranks = np.array([*(self._ranks[text] for text in texts), -1], dtype=np.int32)
        self._codes.append(ranks[codes])

    def _target_column(self) -> TargetColumn:
        values, readings = tuple(self._classes.counts or ()), self._classes.readings
        codes = np.concatenate(self._codes)
        numbers = [parse_number(text, readings[0]) for text in values] if readings else []
        if not values or not readings or None in numbers:
            return TargetColumn(codes, values)
        return TargetColumn(codes, values, np.array([*numbers, np.nan], dtype=np.float64)[codes])


def _not_chosen(names: list[str]) -> tuple[LeftOut, ...]:
    detail = "is not among the features that were listed"
    if len(names) <= LISTED:
        return tuple(LeftOut(name=name, reason="not_chosen", detail=detail) for name in names)
    return (LeftOut(name=f"{len(names)} columns", reason="not_chosen", detail=f"such as {names[0]!r}: {detail}"),)


def _require_columns(
    faults: Faults, header: tuple[str, ...], target: str, features: tuple[str, ...], mentioned: tuple[str, ...]
) -> None:
    there = ", ".join(map(repr, header[:20])) + (", ..." if len(header) > 20 else "")
    known = set(header)
    for name in dict.fromkeys((*features, target, *mentioned)):
        if name not in known:
            meant = nearest(name, header)
            perhaps = f"; perhaps {meant!r} is meant" if meant else ""
            faults.add(f"expected this column, got {there}{perhaps}", column=name)
    if target in features:
        faults.add("the target cannot be a feature", column=target)
    if not features:
        faults.add(f"expected at least one feature column beside the target, got {there}")
