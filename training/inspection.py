"""A look at a CSV file before anybody trains on it: its columns, or its faults; it knows no target and no network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console
from rich.table import Table

from modelstore import ColumnSummary, DatasetFault, DatasetSummary, Inspection
from modelstore.datasets import MAX_CLASSES
from training.reading.blocks import Block, CsvFile
from training.reading.cells import LARGEST, in_class_order, is_word, numbers

SHOWN_CLASSES = 5


def inspect_file(path: Path) -> Inspection:
    """Read a file once, in bounded memory, and return what it holds or the first ten faults that keep it from that.

    A column of text is no fault, for it may be the classes; one that is text because of a few cells gets a warning.
    """
    try:
        with path.open("rb") as stream:
            return _inspect(CsvFile(stream), path.stat().st_size)
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
    table = Table(title=f"{file}: {summary.rows:,} rows, {summary.size_bytes:,} bytes", title_justify="left")
    for heading in ("column", "kind", "different", "range", "values (rows)"):
        table.add_column(heading)
    for column in summary.columns:
        span = "" if column.minimum is None else f"{column.minimum:g} to {column.maximum:g}"
        different = f"over {MAX_CLASSES}" if column.distinct is None else str(column.distinct)
        table.add_row(column.name, column.kind, different, span, _shown(column.classes))
    console.print(table, markup=False)
    if summary.blank_lines:
        console.print(f"{summary.blank_lines:,} blank lines were passed over", highlight=False)
    for warning in summary.warnings:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)


def _inspect(file: CsvFile, size_bytes: int) -> Inspection:
    header = file.read_header()
    columns = [_Column(name) for name in header]
    few = set(range(len(header)))  # columns with few values are read as text, which shows the values as they stand
    hashes: list[npt.NDArray[np.int64]] = []
    for block in file.blocks(few) if header else ():
        hashes.append(np.fromiter(map(hash, block.rows()), dtype=np.int64, count=len(block)))
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
        warnings=_warnings(columns, rows, duplicates),
    )
    return Inspection(summary=summary)


def _warnings(columns: list[_Column], rows: int, duplicates: int) -> tuple[str, ...]:
    found = [sentence for column in columns if (sentence := column.warning())]
    if len(columns) == 1:
        found.append("there is only one column; a training needs a class column and at least one more")
    if all(column.name.strip().isdigit() for column in columns):
        found.append("all column names are numbers; is the line of names missing?")
    if duplicates:
        found.append(f"{duplicates} of {rows} rows repeat another one")
    return tuple(found)


class _Column:
    """What is known of a column so far; `counts` is None once it has more than 100 different values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: dict[str, int] | None = {}
        self.rows = 0
        self.low, self.high = math.inf, -math.inf
        self.wrong = 0  # cells that are no finite float32
        self.wrong_words = 0  # those that were not even meant as one
        self.first_wrong: tuple[int, str] | None = None  # line and cell

    def add(self, block: Block, position: int) -> None:
        cells = block.cells[position]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            different = pd.Series([str(text) for text in cells.cat.categories], dtype="str")
            codes = np.asarray(cells.cat.codes)
            rows = np.bincount(codes, minlength=len(different))  # of each value
            self._count(different, rows)
            self._add(different, rows, codes, block, position)
        elif not self._is_text:
            self._add(cells, np.ones(len(cells), dtype=np.int64), np.arange(len(cells)), block, position)
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

    def warning(self) -> str | None:
        if self.counts is not None and len(self.counts) == 1 and self.rows > 1:
            return f"column {self.name!r}: constant, so it says nothing"
        if self.first_wrong and not self._is_text:
            line, cell = self.first_wrong
            what = repr(cell[:40]) if cell else "an empty cell"
            return (
                f"column {self.name!r}: no finite number in {self.wrong} of {self.rows} rows, first {what} in line "
                f"{line}; it can be the class, but no feature"
            )
        return None

    @property
    def _is_text(self) -> bool:
        return 2 * self.wrong_words > self.rows

    def _count(self, different: pd.Series, rows: npt.NDArray[np.int64]) -> None:
        if self.counts is None:
            return
        for text, count in zip(different, rows.tolist(), strict=True):
            self.counts[text] = self.counts.get(text, 0) + count
        if len(self.counts) > MAX_CLASSES:
            self.counts = None

    def _add(
        self,
        cells: pd.Series,
        rows: npt.NDArray[np.int64],
        codes: npt.NDArray[np.signedinteger[Any]],
        block: Block,
        position: int,
    ) -> None:
        """Take some cells, each with the number of rows that it stands for, and each row's position among the cells."""
        values = numbers(cells)
        wrong = ~(np.abs(values) <= LARGEST)
        right = values[~wrong]
        if len(right):
            self.low, self.high = min(self.low, float(right.min())), max(self.high, float(right.max()))
        if not wrong.any():
            return
        if self.first_wrong is None:
            row = int(wrong[codes].argmax())
            self.first_wrong = int(block.lines[row]), block.texts(position)[row]
        self.wrong += int(rows[wrong].sum())
        words = [is_word(str(cell)) for cell in cells[wrong]]
        self.wrong_words += int(rows[wrong][words].sum())


def _shown(classes: dict[str, int]) -> str:
    shown = [f"{text} ({rows})" for text, rows in list(classes.items())[:SHOWN_CLASSES]]
    return ", ".join(shown) + (", ..." if len(classes) > SHOWN_CLASSES else "")
