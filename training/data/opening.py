"""Read the first lines of a table: comments, rows, decimals; it must not know files."""

from __future__ import annotations

from typing import Any, cast

from modelstore import Dialect
from modelstore.reading import LINE_ENDS_LOST
from training.data.csv_exact import ExactRows
from training.data.dialect import Syntax, decimal_of
from training.data.faults import Faults
from training.data.layout import Layout, Row

SAMPLED_ROWS = 2000


def comment_of(lines: list[str], syntax: Syntax, given: Dialect) -> str:
    """Return the character that begins comments: as given, or that of the first lines, which stand alone."""
    if given.comment is not None:
        return given.comment
    filled = [line for line in lines if line.strip()]
    mark = filled[0][0] if filled else ""
    if mark not in ("#", "%") or len(filled) < 2:
        return ""
    delimiter = syntax.delimiter
    widths = [line.count(delimiter) for line in filled[:2]]
    return "" if widths[0] == widths[1] > 0 and not filled[1].startswith(mark) else mark


def first_rows(
    lines: list[str], first_line: int, syntax: Syntax, comment: str, faults: Faults
) -> tuple[list[Row], list[int]]:
    """Return the rows of the first piece and the lines of its comments; faults if no row is whole."""
    rows = ExactRows(lines, first_line, syntax, comment)
    found: list[Row] = []
    for cells, line in rows:
        if rows.unclosed and not found:
            faults.add("a quote is not closed", line=line)
        elif not rows.unclosed:
            found.append((cells, line, rows.consumed))
    if rows.problem and not found:
        faults.add(rows.problem)
    elif not (found or faults):
        faults.add("the file is empty; expected a line of column names, then rows")
    elif len(lines) == 1 and not lines[0].endswith(("\n", "\r")) and first_line == 1:
        problem = f"expected data rows below the header, got one line without an end; {LINE_ENDS_LOST}"
        faults.add(problem, line=1)
    return found, rows.comments


def dialect_of(layout: Layout, comment: str, syntax: Syntax, decimal: str) -> tuple[Dialect, list[str]]:
    """Return how a table is written, with all fields, and notes about what is unusual."""
    notes = ["numbers have a decimal comma (decimal=,)"] if decimal == "," else []
    found = Dialect(
        delimiter=cast(Any, syntax.delimiter),
        quote=cast(Any, syntax.quote),
        escape="\\" if syntax.escaped else "",
        decimal=cast(Any, decimal),
        header=layout.header,
        skip_rows=layout.skip_rows,
        skip_below=layout.skip_below,
        skip_footer=0,
        comment=comment,
    )
    if syntax.wrapped:
        notes.append("each line is quoted as a whole; it is read without these quotes")
    if syntax.escaped:
        notes.append(f"a quote inside quotes is written as \\{syntax.quote} and read as a quote")
    return found, notes


def find_decimal(rows: list[Row], layout: Layout, faults: Faults) -> str:
    """Return the decimal separator; a comma if the cells of some column cannot be read otherwise."""
    names = layout.names
    data = [cells for cells, _, end in rows if end > layout.consumed and len(cells) == layout.width]
    decimal, doubtful = decimal_of(zip(*data[:SAMPLED_ROWS], strict=True))
    if doubtful is not None:
        name = names[doubtful] if doubtful < len(names) else ""
        cell = next(row[doubtful] for row in data if "," in row[doubtful])
        point, whole = cell.strip().replace(",", "."), cell.strip().replace(",", "")
        problem = f"{cell!r:.40} may be {point} or {whole}; say which: decimal=, or decimal=."
        faults.add(problem, column=name or None)
    return decimal
