"""Find the header of a table and the lines around it that are no rows, and name the columns.

It must not know files or bytes.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from modelstore import Dialect
from modelstore.reading import column_name
from training.data.dialect import Syntax, is_empty, is_value

MOST_ABOVE = 50
MANY_ROWS = 1000
NUMERIC = 0.95

TOTAL = re.compile(r"(grand |sub)?total\b.*|sum|summe|gesamt|insgesamt|average|mean", re.IGNORECASE)

Row = tuple[list[str], int, int]  # cells, line at which it begins, number of lines consumed up to its end


@dataclass(frozen=True)
class Layout:
    """Where the rows of a table begin, and its columns.

    Attributes:
        names: of the columns that are kept, at the left.
        width: cells of each row, of which those beyond `names` are empty.
        line: line of the header.
        consumed: number of lines before the first row.
        unnamed: name given to a first column without a name, if there is one.
    """

    names: tuple[str, ...]
    width: int
    line: int
    consumed: int
    header: bool
    skip_rows: int
    skip_below: int
    unnamed: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=())


def find_layout(rows: Sequence[Row], given: Dialect) -> Layout:
    """Return the layout of a table from its first rows, at least one; what is given is not questioned."""
    widths = Counter(len(cells) for cells, _, _ in rows)
    width = max(widths, key=lambda one: (widths[one], one)) if len(rows) > 2 else len(rows[-1][0])
    first, notes = (_find_first(rows, width), []) if given.skip_rows is None else (0, [])
    cells, line, _ = rows[first]
    if first:
        above, title = "line 1" if line == 2 else f"lines 1 to {line - 1}", ", ".join(rows[0][0])
        notes.append(f"{above} ({title:.40}): no row, left out as skip_rows={line - 1} does; 0 keeps it")
    data = [row for row in rows[first + 1 : first + 1 + MANY_ROWS] if len(row[0]) == width]
    columns = [list(column) for column in zip(*(cells for cells, _, _ in data), strict=True)]
    second = _count_below(cells, rows[first + 1 :], columns)
    samples = [column[second:] for column in columns]
    header = given.header if given.header is not None else not looks_like_data(cells, samples)
    skip_rows = given.skip_rows if given.skip_rows is not None else (line - 1 if first else 0)
    if not header:
        if given.header is None:
            sample = ", ".join(cells[:3])
            notes.append(
                f"line {line} ({sample:.40}...) is a row, not a line of names: the columns are c1 to c{width}; "
                "header=true takes it as names"
            )
        names = tuple(f"c{place}" for place in range(1, width + 1))
        before = rows[first - 1][2] if first else line - 1 - (given.skip_rows or 0)  # lines below those skipped
        return Layout(names, width, line, before, False, skip_rows, 0, notes=tuple(notes))
    below = given.skip_below if given.skip_below is not None else second
    if below:
        under = ", ".join(rows[first + 1][0]) if len(rows) > first + 1 else ""
        notes.append(f"line {line + 1} ({under:.40}): no row, left out as skip_below={below} does; 0 keeps it")
        columns = [column[below:] for column in columns]
    names, unnamed, more = name_columns(cells, width, columns, line)
    consumed = rows[min(first + below, len(rows) - 1)][2]
    whole = max(width, len(names)) if columns else len(names)
    return Layout(names, whole, line, consumed, True, skip_rows, below, unnamed, (*notes, *more))


def _find_first(rows: Sequence[Row], width: int) -> int:
    """Return the position of the first row that is no title or comment above the table."""
    if width < 2:
        return 0
    for place, (cells, _, _) in enumerate(rows[:MOST_ABOVE]):
        following = rows[place + 1][0] if place + 1 < len(rows) else []
        is_title = len(cells) == 1 or (width > 2 and sum(bool(cell.strip()) for cell in cells) < 2)
        is_title |= len(cells) != width and len(following) == width and _all_words(following) and width > 2
        is_group = 2 * len({cell for cell in cells if cell.strip()}) <= len(cells) and _all_words(following)
        if not is_title and not (is_group and len(following) == width == len(cells) and width > 2):
            return place
    return 0


def _all_words(cells: Sequence[str]) -> bool:
    """Return whether all cells are different words, as names are."""
    return len(set(cells)) == len(cells) and not any(is_empty(cell) or is_value(cell) for cell in cells)


def looks_like_data(cells: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Return whether a first row is data: numbers, or words that occur again in their own columns.

    Words above columns of numbers are names, and so are numbers that count, 0, 1, 2, and years.
    """
    filled = [cell for cell in cells if cell.strip()]
    numbers = [cell.strip() for cell in filled if is_value(cell)]
    again = names = 0
    for cell, column in zip(cells, columns, strict=False):
        if is_empty(cell) or is_value(cell):
            continue
        again += cell in column
        present = [one for one in column if not is_empty(one)]
        names += bool(present) and any(map(str.isalpha, cell)) and _share(present) >= NUMERIC
    values = again + (0 if _count_up(numbers) and not again else len(numbers))
    return bool(filled) and 2 * values >= len(filled) and values > 3 * names


def _count_up(numbers: Sequence[str]) -> bool:
    """Return whether numbers are those that programs and people use as names: 0, 1, 2 or years."""
    if not all(number.isdecimal() for number in numbers):
        return False
    whole = list(map(int, numbers))
    steps = all(second == first + 1 for first, second in pairwise(whole))
    return (steps and whole[:1] in ([0], [1])) or (
        len(set(whole)) == len(whole) and all(1900 <= one <= 2100 for one in whole)
    )


def _share(cells: Sequence[str]) -> float:
    return sum(map(is_value, cells)) / max(1, len(cells))


def _count_below(names: Sequence[str], rows: Sequence[Row], columns: Sequence[Sequence[str]]) -> int:
    """Return 1 if the line below the header is a second header or units, else 0."""
    if len(rows) < 3 or len(rows[0][0]) != len(columns):
        return 0
    second = rows[0][0]
    same = [
        cell in column[1:]
        for name, cell, column in zip(names, second, columns, strict=False)
        if name.strip() and name.strip() == cell.strip()
    ]
    if len(same) >= 2 and not all(same):  # a value may be called as its column, and then it is seen again
        return 1
    below = [[cell for cell in column[1:] if not is_empty(cell)] for column in columns]
    numeric = [place for place, column in enumerate(below) if column and _share(column) == 1]
    words = [place for place in numeric if not is_value(second[place]) and any(map(str.isalpha, second[place]))]
    signs = [place for place in numeric if is_value(second[place])]
    return int(len(words) >= 2 and 2 * len(words) >= len(numeric) and not signs)


def name_columns(
    cells: Sequence[str], width: int, columns: Sequence[Sequence[str]], line: int
) -> tuple[tuple[str, ...], frozenset[str], tuple[str, ...]]:
    """Return the names of the kept columns, the name given to a row number without one, and notes."""
    names, notes = list(map(column_name, cells)), []
    while columns and len(names) > max(width, 1) and not names[-1]:
        names.pop()
        notes.append(f"line {line} ends with a comma too many, which is left out")
    if columns and len(names) == width - 1 and any(map(str.strip, columns[-1])) and _counts_rows(columns[0]):
        names.insert(0, "")
    names += [""] * (width - len(names) if columns and not any(map(str.strip, _beyond(columns, len(names)))) else 0)
    kept = len(names)
    while kept > 1 and not names[kept - 1] and columns and not any(map(str.strip, _beyond(columns, kept - 1))):
        kept -= 1
    if kept < len(names) and any(names):
        empty = f"{len(names) - kept} of {len(names)} columns"
        notes.append(f"the ends of the lines, without a name or a cell, are left out: {empty}")
        names = names[:kept]
    if not any(names):
        return tuple(names), frozenset(), tuple(notes)
    unnamed = frozenset([] if names[0] else ["c1"])
    counted = bool(columns) and _counts_rows(columns[0])
    for place, name in enumerate(names, start=1):
        if not name:
            names[place - 1] = f"c{place}"
            what = "counts the rows" if place == 1 and counted else "is called"
            notes.append(f"column {place} has no name and {what} {f'c{place}' if 'called' in what else ''}".strip())
    return tuple(names), unnamed, tuple(notes)


def _beyond(columns: Sequence[Sequence[str]], place: int) -> list[str]:
    return [cell for column in columns[place:] for cell in column]


def _counts_rows(column: Sequence[str]) -> bool:
    if not column or not all(cell.strip().isdecimal() for cell in column):
        return False
    whole = list(map(int, column))
    return all(second == first + 1 for first, second in pairwise(whole))


def find_footer(lines: Sequence[str], given: int | None, width: int, syntax: Syntax) -> int:
    """Return how many lines at the end of a file are no rows: totals and remarks, and the blank lines among them.

    Args:
        lines: the last lines of the file.
        given: number of lines to leave out, blank ones not counted; None to detect them.
        width: cells of a row.
        syntax: how cells are separated.
    """
    size = found = 0
    for place, line in enumerate(reversed(lines), start=1):
        if not line.strip():
            continue
        if found == given or place > MOST_ABOVE * 20 or (given is None and not _is_footer(line, width, syntax)):
            break
        size, found = place, found + 1
    return size


def _is_footer(line: str, width: int, syntax: Syntax) -> bool:
    cells = next(csv.reader([line], delimiter=syntax.delimiter, quotechar=syntax.quote), [])
    filled = [cell.strip() for cell in cells if cell.strip()]
    if width < 2 or not filled or (len(cells) == width and line.count(syntax.quote) % 2):
        return False
    if TOTAL.fullmatch(filled[0]):
        return len(cells) <= width and (cells[0].strip() == "" or len(filled) < width or len(filled[0]) > 3)
    return len(cells) == 1 and any(map(str.isalpha, filled[0])) and (" " in filled[0] or filled[0].endswith(":"))
