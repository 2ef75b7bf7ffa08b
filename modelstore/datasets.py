"""What a look at a data file found: its columns, or its faults; it must not know who looks or where the file lies."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from modelstore.manifest import Count, Finite, Record, Sha256

MAX_CLASSES = 100


class ColumnSummary(Record):
    """One column.

    Attributes:
        kind: `numeric` if every value is a finite number that float32 can hold.
        distinct: number of different values; None if there are more than 100.
        minimum: smallest value of a numeric column; with `maximum` its range.
        classes: value as it stands in the file to its number of rows; empty if there are more than 100 values.
    """

    name: str
    kind: Literal["numeric", "text"]
    distinct: Count | None = None
    minimum: Finite | None = None
    maximum: Finite | None = None
    classes: dict[str, Count] = Field(default_factory=dict)


class DatasetSummary(Record):
    """A data file that can be read.

    Attributes:
        rows: data rows, the header not counted.
        sha256: of the file's bytes.
        duplicate_rows: rows that are equal to one above them.
        blank_lines: how many were passed over; they are no rows, but count where lines are numbered.
        warnings: sentences about what can be trained on but should not look so.
    """

    rows: Annotated[int, Field(ge=1)]
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256
    columns: Annotated[tuple[ColumnSummary, ...], Field(min_length=1)]
    duplicate_rows: Count = 0
    blank_lines: Count = 0
    warnings: tuple[str, ...] = ()


class DatasetFault(Record):
    """One thing that keeps a file from being read.

    Attributes:
        line: as an editor counts, the header is line 1; None if the whole file is meant.
        column: name of the column, if one is meant.
    """

    line: int | None = None
    column: str | None = None
    problem: str


class Inspection(Record):
    """What a look at a file found: a summary, or at least one fault."""

    summary: DatasetSummary | None = None
    faults: tuple[DatasetFault, ...] = ()

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.summary is None) != bool(self.faults):
            raise ValueError("exactly one of summary and faults")
        return self
