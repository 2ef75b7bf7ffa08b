"""How a data file is written: delimiter, encoding, and lines that are no rows.

It must not know how a file is read.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from modelstore.records import Record

MAX_SKIPPED = 1000
"""Most lines that may be left out above the header, below it, or at the end."""


def _tab(given: object) -> object:
    return "\t" if given in ("tab", "\\t") else given


Delimiter = Annotated[Literal[",", ";", "\t", "|"], BeforeValidator(_tab)]
Quote = Literal['"', "'"]
Escape = Literal["\\", ""]
Decimal = Literal[".", ","]
Encoding = Literal["utf-8", "utf-16", "cp1252"]
Lines = Annotated[int, Field(ge=0, le=MAX_SKIPPED)]


class Dialect(Record):
    """How a data file is written; fields that are None are detected, and reports of what was found have all of them.

    The names follow the CSV dialect of Frictionless where it has them. Parquet, Arrow and Excel files have no dialect
    but for the lines that are no rows.

    Attributes:
        delimiter: character between two cells; the word `tab` is taken for a tab.
        quote: character around cells that hold the delimiter or a line end; it is doubled inside them.
        escape: a backslash if quotes inside quotes may also be written with one before them; else the empty string.
        decimal: decimal separator of numbers.
        encoding: `utf-16` by the byte order mark at the start, else little-endian.
        header: whether the first line that is not skipped holds the column names; if not, they are c1, c2 and so on.
        skip_rows: number of lines above the header (above the first row if there is none) that are left out.
        skip_below: number of lines directly below the header that are no rows: units, or a second header.
        skip_footer: number of lines at the end that are no rows, without blank lines.
        comment: lines that begin with this character are left out; the empty string if no line is a comment.
    """

    delimiter: Delimiter | None = None
    quote: Quote | None = None
    escape: Escape | None = None
    decimal: Decimal | None = None
    encoding: Encoding | None = None
    header: bool | None = None
    skip_rows: Lines | None = None
    skip_below: Lines | None = None
    skip_footer: Lines | None = None
    comment: Annotated[str, Field(max_length=1)] | None = None

    @model_validator(mode="after")
    def _comment_is_a_mark(self) -> Self:
        mark = self.comment
        if mark and (mark.isalnum() or mark.isspace() or mark in ('"', "'", self.delimiter)):
            raise ValueError("a comment character that is no letter, digit, blank, quote or delimiter, such as #")
        if self.header is False and self.skip_below:
            raise ValueError("skip_below with a header only; without one, skip_rows leaves out the first lines")
        return self

    def or_else(self, found: Dialect) -> Dialect:
        """Return this dialect with what it leaves open taken from another one."""
        return found.model_copy(update=self.model_dump(exclude_none=True))

    def describe(self) -> str:
        """Return the fields that are known and not as in most files, as the options are named."""
        usual = USUAL.model_dump()
        known = self.model_dump(exclude_none=True)
        return ", ".join(f"{name}={json.dumps(value)}" for name, value in known.items() if value != usual[name])


DETECTED = Dialect()
"""The dialect of which everything is detected."""

USUAL = Dialect(
    delimiter=",",
    quote='"',
    escape="",
    decimal=".",
    encoding="utf-8",
    header=True,
    skip_rows=0,
    skip_below=0,
    skip_footer=0,
    comment="",
)
"""How most files are written."""
