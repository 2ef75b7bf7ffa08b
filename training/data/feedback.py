"""Append rows of feedback to a table, with the types of its columns.

It must not know files, or where the rows come from. N is rows everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import Feedback, FeedbackRow, FeedbackSummary
from modelstore.dates import ISO, parse_date
from modelstore.feedback import Value
from modelstore.numbers import parse_number
from training.data.columns import Column, TargetColumn, cells_of
from training.data.repeats import Marks, mix, number_bits
from training.data.table import Table
from training.errors import DatasetError

_KINDS = {"numeric": "a number", "boolean": "true or false", "categorical": "a text", "datetime": "a date"}


Floats = npt.NDArray[np.float32]


def append_feedback(table: Table, feedback: Feedback, group: str = "") -> tuple[Table, FeedbackSummary]:
    """Return a table with the rows of feedback at its end, and what they are.

    The line of the n-th row of feedback is -n: each has another, and none is that of a row of the file.

    Rows that lack a column are left out and counted. A text that is none of a column's has the cell `len(texts)`. Rows
    with equal cells have equal marks, so that they are held out together; likewise those with an equal number in the
    column of the groups, if `group` names one.

    Raises:
        DatasetError: if no row has all columns, or a column has values of another type than in the table.
    """
    names = {column.name for column in table.columns}
    rows = [row for row in feedback.rows if names <= row.values.keys()]
    if not rows:
        raise DatasetError(table.file, f"expected rows of feedback with all columns{_lacking(feedback.rows, names)}")
    for column in table.columns:
        _require_type(table, column, rows)
    read = [_cells(column, [row.values[column.name] for row in rows]) for column in table.columns]
    cells = np.concatenate(read, axis=1).astype(np.float32)
    longer = replace(
        table,
        x=np.concatenate([table.x, cells]),
        target=_with_labels(table.target, [row.label for row in rows]),
        lines=np.concatenate([table.lines, -1 - np.arange(len(rows), dtype=np.int64)]),
        marks=np.concatenate([table.marks, _marks_like(table.x, cells, table.marks)]),
        groups=_with_groups(table, cells, group),
    )
    left_out = feedback.left_out + len(feedback.rows) - len(rows)
    return longer, FeedbackSummary.of(tuple(rows), left_out)


def _lacking(rows: Sequence[FeedbackRow], names: set[str]) -> str:
    if not rows:
        return ", got no row"
    lacking = sorted(names - set().union(*(row.values for row in rows)))
    return f"; they lack {', '.join(map(repr, lacking[:10]))}" if lacking else "; each lacks another"


def _require_type(table: Table, column: Column, rows: Sequence[FeedbackRow]) -> None:
    """Refuse a column whose values are of another type; the message repeats no value."""
    for row in rows:
        value = row.values[column.name]
        if value is not None and not _fits(column, value):
            problem = (
                f"expected {_KINDS[column.type]} in all rows of feedback; rows of version {row.version} have another"
            )
            raise DatasetError(table.file, f"{problem} type: say the column's type in `types`", column=column.name)


def _fits(column: Column, value: Value) -> bool:
    if column.type == "datetime":
        return isinstance(value, str) and parse_date(value, ISO) is not None
    return type(value) is {"numeric": float, "boolean": bool, "categorical": str}[column.type]


def _cells(column: Column, values: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return the cells of a column, shape (N, its width); NaN if missing."""
    if column.type == "datetime":
        days = [(np.nan, np.nan) if value is None else parse_date(value, ISO) for value in values]
        return np.array(days, dtype=np.float64).reshape(-1, 2)
    ranks = {text: rank for rank, text in enumerate(column.texts)}
    if column.type == "categorical":
        values = [None if value is None else ranks.get(value, len(ranks)) for value in values]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64).reshape(-1, 1)


def _with_groups(table: Table, cells: Floats, group: str) -> Marks | None:
    """Return the groups of the table with those of rows of feedback, given as cells, at their end."""
    if table.groups is None:
        return None
    place = cells_of(table.columns)[[column.name for column in table.columns].index(group)]
    return np.concatenate([table.groups, _marks_like(table.x[:, place], cells[:, place], table.groups)])


def _marks_like(x: Floats, cells: Floats, marks: Marks) -> Marks:
    """Return the marks of rows of feedback, given as cells: that of a row of the table with equal cells, if any."""
    known, own = _marks_of_cells(x), _marks_of_cells(cells)
    order = np.argsort(known, kind="stable")
    found = order[np.searchsorted(known[order], own).clip(max=len(known) - 1)]
    return np.where(known[found] == own, marks[found], own)


def _marks_of_cells(x: Floats) -> Marks:
    marks = np.zeros(len(x), dtype=np.uint64)
    for cells in x.T:
        mix(marks, number_bits(cells.astype(np.float64)))
    return marks


def _with_labels(target: TargetColumn, labels: Sequence[str]) -> TargetColumn:
    """Return the target with labels at its end; 5.5 becomes the text of the file with this number, such as 5,5.

    Else equal rows would have other marks, which are those of texts.
    """
    ranks = {text: rank for rank, text in enumerate(target.values)}
    numbers = [parse_number(label) for label in labels]
    written = _texts_of_numbers(target)
    texts = [label if label in ranks else written.get(n, label) for label, n in zip(labels, numbers, strict=True)]
    codes = np.array([ranks.setdefault(text, len(ranks)) for text in texts], dtype=np.int32)
    known = None if target.numbers is None or None in numbers else np.concatenate([target.numbers, np.array(numbers)])
    return TargetColumn(np.concatenate([target.codes, codes]), tuple(ranks), known)


def _texts_of_numbers(target: TargetColumn) -> dict[float | None, str]:
    if target.numbers is None:
        return {}
    codes, rows = np.unique(target.codes, return_index=True)
    numbers = target.numbers[rows].tolist()
    return {number: target.values[code] for number, code in zip(numbers, codes.tolist(), strict=True) if code >= 0}
