"""Detect how cells are separated and quoted, from whole records of a text's beginning.

Kept is the pair of delimiter and quote with the most columns of the same width in nearly every record and the most
cells that are numbers, dates or empty. It must not know columns or their names.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modelstore import Dialect

DELIMITERS = (",", ";", "\t", "|")
SAMPLED = 300
NEARLY = 0.9
EMPTY = frozenset(["", "na", "n/a", "nan", "null", "none", "?", "-"])
VALUE = re.compile(
    r"[+-]?[$€£]?\s?(\d+([.,' ]\d+)*[.,]?|[.,]\d+)([eE][+-]?\d+)?\s?%?"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}.*)?|\d{1,2}:\d{2}(:\d{2}.*)?"
)
COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?(,\d+)?([eE][+-]?\d+)?")
POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
THOUSANDS, THOUSANDS_POINT = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+"), re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
WRAPPED = re.compile(r'"(?:[^"]|"")*"')
ESCAPED = re.compile(r'[^,;\t|\n]\\"[^,;\t|\r\n"]')


@dataclass(frozen=True)
class Syntax:
    """How cells are separated and quoted.

    Attributes:
        spaced: whether blanks behind a delimiter stand outside of quotes.
        wrapped: whether each line is quoted once more, as a whole.
        escaped: whether a quote inside quotes is written with a backslash before it.
    """

    delimiter: str = ","
    quote: str = '"'
    spaced: bool = False
    wrapped: bool = False
    escaped: bool = False

    def mend(self, text: bytes) -> bytes:
        """Return whole lines as CSV has them: without quotes around each line or backslashes before quotes."""
        if self.wrapped:
            lines = text.splitlines(keepends=True)
            text = b"".join(map(_unwrap, lines))
        mark = self.quote.encode()
        return text.replace(b"\\" + mark, mark + mark) if self.escaped else text


COMMAS = Syntax()


def is_value(cell: str) -> bool:
    """Return whether a cell is a number, a date or a time."""
    return VALUE.fullmatch(cell.strip()) is not None


def is_empty(cell: str) -> bool:
    """Return whether a cell stands for a missing value."""
    return cell.strip().lower() in EMPTY


def detect(text: str, given: Dialect) -> Syntax:
    """Return how the cells of a text are separated; what is given is not questioned.

    Args:
        text: whole lines from the beginning of a file; the last record may be incomplete.
        given: fields that a person has set.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    wrapped = _is_wrapped(lines)
    if wrapped:
        lines = [_unwrap(line.encode()).decode() for line in lines]
        text = "\n".join(lines)
    found = _best(text, len(lines), given)
    escaped = _is_escaped(text, found) if given.escape is None else bool(given.escape)
    return Syntax(found.delimiter, found.quote, found.spaced, wrapped, escaped)


def _is_escaped(text: str, syntax: Syntax) -> bool:
    """Return whether quotes inside quotes have a backslash before them: so more rows have the same width."""
    if syntax.quote != '"' or '\\"' not in text:
        return False
    mended = text.replace('\\"', '""')
    return bool(ESCAPED.search(text)) or _evenness(mended, syntax) > _evenness(text, syntax)


def _best(text: str, lines: int, given: Dialect) -> Syntax:
    delimiters = (given.delimiter,) if given.delimiter else DELIMITERS
    best, best_score = Syntax(given.delimiter or ",", given.quote or '"'), 0.0
    for delimiter in delimiters:
        if 2 * text.count(delimiter) < lines and not given.delimiter:
            continue
        mark = re.escape(delimiter)
        for quote in (given.quote,) if given.quote else ('"', "'"):
            if quote == "'" and not given.quote and not re.search(f"(^|{mark})'[^'\n]*'({mark}|$)", text, re.MULTILINE):
                continue
            syntax = Syntax(delimiter, quote, f"{delimiter} {quote}" in text)
            score = _score(text, syntax) * (1 + 1e-9 * (quote == "'" and _are_all_quoted(text, syntax)))
            if score > best_score:
                best, best_score = syntax, score
    return best


def _score(text: str, syntax: Syntax) -> float:
    rows = _rows(text, syntax)
    width, count = _width(rows)
    if width < 2:
        return 0.0
    even = [row for row in rows if len(row) == width]
    sample = even[:: max(1, len(even) // SAMPLED)]
    typed = sum(is_value(cell) or is_empty(cell) for row in sample for cell in row) / (width * len(sample))
    return count / len(rows) * (0.1 + typed) * (width - 1) / width


def _evenness(text: str, syntax: Syntax) -> float:
    rows = _rows(text, syntax)
    return _width(rows)[1] / max(1, len(rows))


def _width(rows: list[list[str]]) -> tuple[int, int]:
    """Return the most frequent width of more than one cell, and how many rows have it."""
    widths = Counter(len(row) for row in rows if len(row) > 1)
    return widths.most_common(1)[0] if widths else (1, len(rows))


def _rows(text: str, syntax: Syntax) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(
        text.splitlines(keepends=True),
        delimiter=syntax.delimiter,
        quotechar=syntax.quote,
        skipinitialspace=syntax.spaced,
    )
    try:
        rows.extend(row for row in reader if any(map(str.strip, row)))
    except csv.Error:
        return rows
    return rows


def _are_all_quoted(text: str, syntax: Syntax) -> bool:
    """Return whether some column has single quotes around every cell, but for that of the first row."""
    rows = _rows(text, Syntax(syntax.delimiter, '"'))[1:]
    width, _ = _width(rows)
    columns = zip(*(row for row in rows if len(row) == width), strict=True)
    is_quoted: Callable[[str], bool] = lambda cell: len(cell) > 1 and cell[0] == cell[-1] == "'"  # noqa: E731
    return any(all(is_quoted(cell.strip()) for cell in column if cell.strip()) for column in columns)


def _is_wrapped(lines: list[str]) -> bool:
    """Return whether each line but perhaps the first is quoted as a whole, and holds as many cells as the first."""
    below = lines[1 : SAMPLED + 1]
    if sum(WRAPPED.fullmatch(line.rstrip()) is not None for line in below) < NEARLY * len(below) or not below:
        return False
    text = "\n".join(_unwrap(line.encode()).decode() for line in lines[: SAMPLED + 1])
    rows = _rows(text, _best(text, len(below) + 1, Dialect()))
    width, count = _width(rows)
    return width > 1 and len(rows[0]) == width and count >= NEARLY * len(rows)


def _unwrap(line: bytes) -> bytes:
    inner = line.rstrip(b"\r\n")
    if len(inner) < 2 or inner[:1] != b'"' or inner[-1:] != b'"' or b'"' in inner[1:-1].replace(b'""', b""):
        return line
    return inner[1:-1].replace(b'""', b'"') + line[len(inner) :]


def decimal_of(columns: Iterable[Sequence[str]]) -> tuple[str, int | None]:
    """Return the decimal separator, and the position of an ambiguous column if none decides.

    A comma if some column has only numbers, of which one has a comma that cannot separate thousands; a point if one has
    a point that cannot.
    """
    doubtful = None
    for position, column in enumerate(columns):
        cells = [cell.strip() for cell in column if not is_empty(cell)]
        commas = [cell for cell in cells if "," in cell]
        if any(POINT.fullmatch(cell) for cell in cells if not THOUSANDS_POINT.fullmatch(cell)):
            return ".", None
        if commas and all(COMMA.fullmatch(cell) for cell in cells):
            if any(not THOUSANDS.fullmatch(cell) for cell in commas):
                return ",", None
            doubtful = position if doubtful is None else doubtful
    return ".", doubtful
