"""Records that describe an inspected data file: its columns, or its faults."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from modelstore.features import LeftOutReason
from modelstore.records import Count, Finite, Record, Sha256

MAX_CLASSES = 100


class ColumnSummary(Record):
    """Summary of one column of a data file.

    Attributes:
        kind: `numeric` if every value is a finite number that float32 can hold.
        distinct: number of distinct values; None if there are more than 100.
        minimum: smallest value of a numeric column; `maximum` is the largest.
        classes: number of rows of each value, by its text in the file; empty if there are more than 100 values.
        left_out: why a training leaves the column out, unless a type is set for it; None if it does not.
        detail: one sentence about that, with figures.
    """

    name: str
    kind: Literal["numeric", "text"]
    distinct: Count | None = None
    minimum: Finite | None = None
    maximum: Finite | None = None
    classes: dict[str, Count] = Field(default_factory=dict)
    left_out: LeftOutReason | None = None
    detail: str = ""


class DatasetSummary(Record):
    """Summary of a readable data file.

    Attributes:
        rows: number of data rows, without the header.
        sha256: SHA-256 of the file's bytes.
        duplicate_rows: number of rows equal to an earlier row.
        blank_lines: number of skipped blank lines; they are not rows, but count in line numbers.
        warnings: sentences about suspicious content that does not prevent training.
    """

    rows: Annotated[int, Field(ge=1)]
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256
    columns: Annotated[tuple[ColumnSummary, ...], Field(min_length=1)]
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
