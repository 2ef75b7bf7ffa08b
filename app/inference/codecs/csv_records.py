"""Split CSV text into records; a quoted cell may hold line ends, as RFC 4180 has it.

This module must not know which columns matter.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from modelstore.reading import BLANKS

NO_CSV = "is not CSV in UTF-8"

_BLANK_LINE = BLANKS + "\r\n"


@dataclass(slots=True)
class Records:
    """The records of some lines.

    Attributes:
        rows: fields of each record that is not blank, or what is wrong with it.
        begins: index of the line in which each of them begins.
        blank_lines: number of blank lines.
        lines: number of lines that hold them; those after it begin a record that is not complete.
    """

    rows: list[list[str] | str] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    blank_lines: int = 0
    lines: int = 0

    def add(self, row: list[str] | str, lines: int) -> None:
        """Add a record that takes so many lines."""
        self.rows.append(row)
        self.begins.append(self.lines)
        self.lines += lines


def split_lines(text: bytes) -> tuple[list[str], bool]:
    """Return lines with their ends (LF, CRLF or CR), and whether the text is UTF-8; other bytes become surrogates."""
    try:
        return list(io.StringIO(text.decode(), newline="")), True
    except UnicodeDecodeError:
        return list(io.StringIO(text.decode(errors="surrogateescape"), newline="")), False


def join_lines(lines: list[str]) -> bytes:
    """Return the text that `split_lines` has split."""
    return "".join(lines).encode(errors="surrogateescape")


def read_records(lines: list[str], delimiter: str, quote: str = '"', *, ended: bool) -> Records:
    """Return the records of lines, in time linear in their characters.

    Args:
        lines: with their ends.
        delimiter: between two fields.
        quote: around fields.
        ended: whether no line follows, so that a record that is not complete is wrong.
    """
    found, at_end = Records(), list[bool]()
    source = itertools.chain(lines, _mark_end(at_end))
    while not at_end:
        reader, before = (
            csv.reader(source, delimiter=delimiter, quotechar=quote, skipinitialspace=True, strict=True),
            found.lines,
        )
        try:
            for fields in reader:
                if lines[found.lines].strip(_BLANK_LINE):
                    found.add(fields, before + reader.line_num - found.lines)
                else:
                    found.blank_lines += 1
                    found.lines += 1
        except csv.Error as error:
            if not at_end:
                found.add(describe(error, last := before + reader.line_num - found.lines), last)
            elif ended:
                found.add("opens a quote that is never closed", len(lines) - found.lines)
    return found


def describe(error: csv.Error, lines: int = 1) -> str:
    """Return what is wrong with a record; in several lines, also where it ends."""
    where = f"; its quoted field takes in the {lines - 1} lines after it" if lines > 1 else ""
    if "limit" in str(error):
        return f"has a field of more than {csv.field_size_limit()} characters; is a quote not closed?"
    return f"{NO_CSV}: text follows a closing quote; a quote within a field is doubled{where}"


def is_utf8(fields: list[str]) -> bool:
    """Return whether fields have no surrogates."""
    try:
        "".join(fields).encode()
    except UnicodeEncodeError:
        return False
    return True


def _mark_end(at_end: list[bool]) -> Iterator[str]:
    """Note that the lines before have all been read."""
    at_end.append(True)
    yield from ()
