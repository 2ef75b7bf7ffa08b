"""Inspect a CSV file before training: summarise its columns, or list its faults."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelstore import ColumnSummary, DatasetFault, DatasetSummary, Dialect, Inspection
from modelstore.datasets import MAX_CLASSES
from training.data.block import Block
from training.data.cells import LARGEST, alike, in_class_order, is_word, numbers, parse
from training.data.csv_blocks import CsvFile
from training.data.precision import Merging, exact

SHOWN_CLASSES = 5

Codes = npt.NDArray[np.signedinteger[Any]]


def inspect_file(path: Path, dialect: Dialect | None = None) -> Inspection:
    """Read a file once, in bounded memory, and return a summary or its first ten faults.

    A text column is not a fault, because it may hold the classes; a numeric column with a few other cells gets a
    warning.
    """
    try:
        with path.open("rb") as stream:
            return _inspect(CsvFile(stream, dialect), path.stat().st_size)
    except OSError as error:
        return Inspection(faults=(DatasetFault(problem=f"cannot be read: {error.strerror or error}"),))


def print_inspection(console: Console, file: str, inspection: Inspection) -> None:
    """Print the columns and warnings, or the faults."""
    for fault in inspection.faults:
        place = "".join(
            (f", line {fault.line}" if fault.line else "", f", column {fault.column!r}" if fault.column else "")
        )
        console.print(f"{file}{place}: {fault.problem}", markup=False, highlight=False, soft_wrap=True)
    summary = inspection.summary
    if summary is None:
        return
    title = Text(f"{file}: {summary.rows:,} rows, {summary.size_bytes:,} bytes")  # a name may look like markup
    table = Table(title=title, title_justify="left")
    for heading in ("column", "kind", "different", "range", "values (rows)"):
        table.add_column(heading, overflow="fold")
    for column in summary.columns:
        span = "" if column.minimum is None else f"{column.minimum:g} to {column.maximum:g}"
        different = f"over {MAX_CLASSES}" if column.distinct is None else str(column.distinct)
        table.add_row(column.name, column.kind, different, span, _show(column.classes))
    console.print(table, markup=False)
    if summary.blank_lines:
        console.print(f"{summary.blank_lines:,} blank lines were passed over", highlight=False)
    for warning in summary.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)


def _inspect(file: CsvFile, size_bytes: int) -> Inspection:
    header = file.read_header()
    columns = [_Column(name) for name in header]
    few = set(range(len(header)))  # columns with few values are read as text, to show the values as in the file
    hashes: list[npt.NDArray[np.int64]] = []
    for block in file.blocks(few) if header else ():
        hashes.append(np.fromiter(map(hash, block.rows), dtype=np.int64, count=len(block)))
        for position, column in enumerate(columns):
            column.add(block, position)
            if column.counts is None:
                few.discard(position)
    rows = sum(map(len, hashes))
    if not (rows or file.faults):
        file.faults.add("expected data rows below the header, got none")
    if file.faults:
        return Inspection(faults=file.faults.sorted())
    ordered = np.sort(np.concatenate(hashes))
    duplicates = int((ordered[1:] == ordered[:-1]).sum())
    summary = DatasetSummary(
        rows=rows,
        size_bytes=size_bytes,
        sha256=file.sha256(),
        columns=tuple(column.summary() for column in columns),
        duplicate_rows=duplicates,
        blank_lines=file.blank_lines,
        warnings=(*file.notes, *_warnings(columns, rows, duplicates)),
    )
    return Inspection(summary=summary)


def _warnings(columns: list[_Column], rows: int, duplicates: int) -> tuple[str, ...]:
    found = [f"column {column.name!r}: {problem}" for column in columns for problem in column.problems()]
    if len(columns) == 1:
        found.append("there is only one column; a training needs a class column and at least one more")
    if all(column.name.strip().isdigit() for column in columns):
        found.append("all column names are numbers; is the line of names missing?")
    if duplicates:
        found.append(f"{duplicates} of {rows} rows repeat another one")
    return tuple(found)


class _Column:
    """Statistics of a column so far; `counts` is None after more than 100 distinct values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: dict[str, int] | None = {}
        self.rows = 0
        self.low, self.high = math.inf, -math.inf
        self.wrong = 0  # cells that are not finite float32
        self.wrong_words = 0  # those that are words, see `is_word`
        self.first_wrong: tuple[int, str] | None = None  # line and cell
        self._merging = Merging()

    def add(self, block: Block, position: int) -> None:
        if self.counts is not None:
            self._add_different(*block.encode(position), block, position)
        elif not self._is_text:
            self._add_each(block, position)
        self.rows += len(block)

    def summary(self) -> ColumnSummary:
        numeric, counts = not self.wrong, self.counts or {}
        return ColumnSummary(
            name=self.name,
            kind="numeric" if numeric else "text",
            distinct=None if self.counts is None else len(self.counts),
            minimum=self.low if numeric else None,
            maximum=self.high if numeric else None,
            classes={text: counts[text] for text in in_class_order(counts)},
        )

    def problems(self) -> Iterator[str]:
        if self.counts is not None and len(self.counts) == 1 and self.rows > 1:
            yield "constant, so it says nothing"
        if self.first_wrong and not self._is_text:
            line, cell = self.first_wrong
            what = repr(cell[:40]) if cell else "an empty cell"
            yield (
                f"no finite number in {self.wrong} of {self.rows} rows, first {what} in line {line}; it can be the "
                "class, but no feature"
            )
        if not self.wrong and (merged := self._find_merged()):
            yield merged
        for values in alike(self.counts or ()):
            yield f"{values} would be different classes; are they the same?"

    @property
    def _is_text(self) -> bool:
        return 2 * self.wrong_words > self.rows

    def _find_merged(self) -> str | None:
        if self.counts is None:
            return self._merging.problem()
        whole, values = Merging(), list(self.counts)  # all distinct values of the file are known
        whole.add(exact(values, parse(values)), np.array(list(self.counts.values())))
        return whole.problem()

    def _add_different(self, codes: Codes, different: list[str], block: Block, position: int) -> None:
        """Add a block given as its distinct values and the code of each row."""
        rows = np.bincount(codes, minlength=len(different))  # rows of each value
        self._count(different, rows)
        values = parse(different)
        wrong = self._wrong(values)
        if not wrong.any():
            self._merging.add(exact(different, values), rows)
            return
        words = [is_word(text) for text in itertools.compress(different, wrong)]
        self._note(block, position, int(wrong[codes].argmax()), int(rows[wrong].sum()), int(rows[wrong][words].sum()))

    def _add_each(self, block: Block, position: int) -> None:
        """Add a block cell by cell."""
        cells = block.cells[position]
        values = numbers(cells)
        wrong = self._wrong(values)
        if not wrong.any():
            self._merging.add(cells.to_numpy() if cells.dtype.kind in "iu" else values)
            return
        rows = np.flatnonzero(wrong).tolist()
        words = () if cells.dtype.kind == "f" else map(is_word, block.texts(position, rows))
        self._note(block, position, rows[0], len(rows), sum(words))

    def _count(self, different: list[str], rows: npt.NDArray[np.int64]) -> None:
        assert self.counts is not None
        for text, count in zip(different, rows.tolist(), strict=True):
            self.counts[text] = self.counts.get(text, 0) + count
        if len(self.counts) > MAX_CLASSES:
            self.counts = None

    def _wrong(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which values are not finite float32, and update the range with the others."""
        wrong = ~(np.abs(values) <= LARGEST)
        right = values[~wrong] if wrong.any() else values
        if len(right):
            self.low, self.high = min(self.low, float(right.min())), max(self.high, float(right.max()))
        return wrong

    def _note(self, block: Block, position: int, first: int, wrong: int, words: int) -> None:
        """Count cells that are not finite float32; `first` is the block's first row with one."""
        if self.first_wrong is None:
            self.first_wrong = int(block.lines[first]), block.texts(position, [first])[0]
        self.wrong += wrong
        self.wrong_words += words


def _show(classes: dict[str, int]) -> str:
    shown = [f"{text} ({rows})" for text, rows in list(classes.items())[:SHOWN_CLASSES]]
    return ", ".join(shown) + (", ..." if len(classes) > SHOWN_CLASSES else "")
