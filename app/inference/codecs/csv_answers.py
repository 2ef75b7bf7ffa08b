"""Write answers as CSV.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import csv
import io

from app.errors import Problem, ServingError
from app.inference.codecs import frames
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS
from app.inference.predictions import Predictions, column_names
from app.schema import ModelSchema


class CsvWriter:
    """Write `label`, `probability` and one column `probability_<class>` for each class, or `value` for a quantity.

    With a decision, the column `decision` follows: the policy where the label is not the most probable class.
    """

    content_type = "text/csv; charset=utf-8"
    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, *, numbered: bool) -> None:
        self._names = column_names(schema) if schema.decision is None else (*column_names(schema), "decision")
        self._numbered = numbered
        self._frame = _frame(schema)

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
        place = f"{problem.feature}: " if problem and problem.feature else ""
        text = place + problem.problem if problem else ""
        return _line([str(number), *[""] * len(self._names), text])

    def failure(self, error: ServingError) -> bytes:
        """Return a last line that no CSV reader mistakes for a row."""
        return b"# error: %b\n" % str(error).replace("\n", " ").encode()

    def tail(self) -> bytes:
        """Return nothing: CSV has no end marker."""
        return b""


def _frame(schema: ModelSchema) -> frames.Frame:
    labels = [_line([label])[:-1] for label in schema.classes]
    if schema.task == "regression":
        return frames.Frame([], [b""], b"\n", b"")
    begin, before = [label + b"," for label in labels], [b"", b"", *[b","] * len(labels)]
    if schema.decision is None:
        return frames.Frame(begin, before, b"\n", b"")
    return frames.Frame(begin, [*before, b","], b"\n", b"", _line([schema.decision.policy])[:-1])


def _line(fields: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(fields)  # with CRLF, fields that hold CR or LF are quoted
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"
