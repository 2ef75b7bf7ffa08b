"""Write answers as CSV.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from app.errors import Problem, ServingError
from app.inference.additions.added import Added, AddedOutputs, facts_of, has_decision, texts_of
from app.inference.additions.added import column_names as names_of_added
from app.inference.codecs import frames
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS, RowByRow
from app.inference.predictions import Predictions, column_names
from app.schema import ModelSchema
from modelstore import Task


class CsvWriter(RowByRow):
    """Write `label`, `probability` and one column `probability_<class>` for each class, or `value` for a quantity.

    With a decision, the column `decision` follows: the policy where the label is not the most probable class. Then
    come the columns of additional answers, empty where a row has none, and what holds for all rows.
    """

    content_type = "text/csv; charset=utf-8"
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, added: AddedOutputs = (), *, numbered: bool) -> None:
        decision = () if schema.decision is None or has_decision(added) else ("decision",)
        self._names = (*column_names(schema), *decision, *names_of_added(added), *facts_of(added))
        self._numbered = numbered
        self._frame = _frame(schema, added)

    def head(self) -> bytes:
        """Return the header line; numbered answers have a first column for the line and a last one for the error."""
        return _line(["line", *self._names, "error"] if self._numbered else list(self._names))

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of an answer."""
        return frames.write(predictions, self._frame)

    def numbered_row(self, number: int, predictions: Predictions | None, problem: Problem | None) -> bytes:
        """Return one row with its line number in the request: its answer or its problem."""
        if predictions is not None:
            return b"%d,%b,\n" % (number, self.rows(predictions)[:-1])
        return _line([str(number), *[""] * len(self._names), str(problem or "")])

    def failure(self, error: ServingError) -> bytes:
        """Return a last line that no CSV reader mistakes for a row."""
        return b"# error: %b\n" % str(error).replace("\n", " ").encode()


def _row_of_class(schema: ModelSchema) -> tuple[list[bytes], list[bytes]]:
    return [_line([label])[:-1] + b"," for label in schema.classes], [b"", b"", *[b","] * len(schema.classes)]


_ROW_OF: dict[Task, Callable[[ModelSchema], tuple[list[bytes], list[bytes]]]] = {
    "classification": _row_of_class,
    "regression": lambda _schema: ([], [b""]),
}
"""The text of each class as a label, if there are classes, and before each cell of a usual row."""


def _frame(schema: ModelSchema, added: AddedOutputs) -> frames.Frame:
    labels, before = _ROW_OF[schema.task](schema)
    more, cells = [b","] * len(names_of_added(added)), _added_cells if added else None
    end = b"".join(b"," + _line([text])[:-1] for text in facts_of(added).values()) + b"\n"
    if schema.decision is None or has_decision(added):
        return frames.Frame(labels, [*before, *more], end, b"", added=cells)
    policy = _line([schema.decision.policy])[:-1]
    return frames.Frame(labels, [*before, b",", *more], end, b"", policy, cells)


def _added_cells(added: Added) -> list[list[bytes]]:
    """Return the columns of additional answers as cells."""
    return [
        [_line([text])[:-1] if text and column.dtype == object else text.encode() for text in texts_of(column)]
        for column in added.columns()
    ]


def _line(fields: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(fields)  # with CRLF, fields that hold CR or LF are quoted
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"
