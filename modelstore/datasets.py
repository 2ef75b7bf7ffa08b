"""Records that describe an inspected data file: its columns, or its faults."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from modelstore.dialect import DETECTED, Dialect
from modelstore.features import ColumnType, LeftOutReason
from modelstore.records import Count, Finite, Record, Sha256

MAX_CLASSES = 100
MANY_VALUES = 10  # a target of more different numbers is a quantity


class Histogram(Record):
    """Rows of a column by value, in bins of equal width.

    Attributes:
        edges: ascending round numbers, or ISO 8601 texts of dates; a bin holds its lower edge and not its upper one.
        rows: number of rows in each bin.
    """

    edges: tuple[Finite, ...] | tuple[str, ...]
    rows: tuple[Count, ...]

    @model_validator(mode="after")
    def _one_edge_more(self) -> Self:
        if len(self.edges) != len(self.rows) + 1 or not self.rows:
            raise ValueError("one edge more than bins")
        return self


class ColumnSummary(Record):
    """Summary of one column of a data file, over all rows.

    Attributes:
        type: what its cells are; a best guess if the column is left out.
        missing: rows without a value.
        distinct: number of distinct values; None if they were not counted, because they are many numbers.
        minimum: smallest value, a number or an ISO 8601 text of a datetime column; `maximum` is the largest. Texts that
            are codes with leading zeros have it as numbers, which the type `numeric` makes of them.
        classes: number of rows of each value, by its text in the file: all in class order if there are at most 100, the
            most frequent texts if there are more, none of many numbers.
        histogram: rows by value of numbers and dates; None of other columns, and in summaries of older releases.
        left_out: why a training does not use the column unless it is told to, if so; `detail` says it to people.
        note: how the cells are written, where that is not the usual way.
    """

    name: str
    type: ColumnType
    missing: Count = 0
    distinct: Count | None = None
    minimum: Finite | str | None = None
    maximum: Finite | str | None = None
    classes: dict[str, Count] = Field(default_factory=dict)
    histogram: Histogram | None = None
    left_out: LeftOutReason | None = None
    detail: str = ""
    note: str = ""


class DatasetSummary(Record):
    """Summary of a readable data file.

    Attributes:
        rows: number of data rows, without the header.
        sha256: SHA-256 of the file's bytes.
        dialect: how the file was read, as given or detected.
        duplicate_rows: number of rows equal to an earlier row.
        blank_lines: number of skipped blank lines; they are not rows, but count in line numbers.
        warnings: sentences about suspicious content that does not prevent training.
    """

    rows: Annotated[int, Field(ge=1)]
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256
    columns: Annotated[tuple[ColumnSummary, ...], Field(min_length=1)]
    dialect: Dialect = DETECTED
    duplicate_rows: Count = 0
    blank_lines: Count = 0
    warnings: tuple[str, ...] = ()


class DatasetFault(Record):
    """One reason why a file cannot be read.

    Attributes:
        line: line number as in an editor, the header being line 1; None if the fault concerns the whole file.
        column: name of the column, if the fault concerns one.
    """

    line: int | None = None
    column: str | None = None
    problem: str


class Inspection(Record):
    """Result of inspecting a file: a summary, or at least one fault."""

    summary: DatasetSummary | None = None
    faults: tuple[DatasetFault, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.summary is None) != bool(self.faults):
            raise ValueError("exactly one of summary and faults")
        return self
