"""Read receipts or ids, and labels, from a body: JSON, CSV or newline-delimited JSON.

This module must not know what a receipt, an id or a label means.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from app.errors import InvalidInput, MalformedBody, wrong_field
from app.feedback.errors import TooManyLabels
from app.inference.codecs import strict_json
from app.inference.codecs.csv import CONTENT_TYPE as CSV
from app.inference.codecs.json import CONTENT_TYPE as JSON
from app.inference.codecs.ndjson import CONTENT_TYPES as NDJSON

MAX_LABELS = 10_000  # of one request
_FORMS = ({"receipt", "label"}, {"id", "label"}, {"id", "label", "model"})


class FeedbackItem(NamedTuple):
    """A receipt or an id, and its label, as they were sent, of any type.

    Attributes:
        row: in JSON the position of the item, from 0; else the line, from 1.
        model: name of the model whose row had the id, if it is said.
        form: what stands for the row; None if the item has not the fields of any form, and then those are None.
        problem: why it has not, if there is more to say.
    """

    row: int
    receipt: object = None
    label: object = None
    id: object = None
    model: object = None
    form: Literal["receipt", "id"] | None = "receipt"
    problem: str | None = None


def read_feedback(body: bytes, content_type: str) -> list[FeedbackItem]:
    """Return the items of a body; `content_type` is one of `READERS`.

    Raises:
        MalformedBody: if the body does not match its content type.
        InvalidInput: if it has not the form of feedback.
        TooManyLabels.
    """
    items = []
    for item in READERS[content_type](body):
        items.append(item)
        if len(items) > MAX_LABELS:
            raise TooManyLabels(MAX_LABELS)
    return items


def _read_json(body: bytes) -> Iterator[FeedbackItem]:
    document = strict_json.parse(body)
    if type(document) is not dict or set(document) != {"feedback"} or type(document["feedback"]) is not list:
        raise _wrong(
            'must be an object with one field, an array: {"feedback": [{"receipt": "...", "label": ...}, ...]}'
        )
    for row, item in enumerate(document["feedback"]):
        yield _read_item(row, item)


def _read_lines(body: bytes) -> Iterator[FeedbackItem]:
    for line, text in enumerate(body.splitlines(), start=1):
        if text.strip():
            try:
                yield _read_item(line, strict_json.parse_line(text))
            except MalformedBody as error:
                yield FeedbackItem(line, form=None, problem=str(error))


def _read_csv(body: bytes) -> Iterator[FeedbackItem]:
    try:
        table = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(table, [])]
        if set(header) not in _FORMS or len(set(header)) < len(header):
            raise _wrong(
                "must begin with a header line that names receipt and label, or id and label, and perhaps model"
            )
        for row in table:
            if len(row) == len(header):
                yield _read_item(table.line_num, dict(zip(header, row, strict=True)))
            elif row:
                yield FeedbackItem(table.line_num, form=None)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body must be UTF-8, byte {error.start} is not") from error
    except csv.Error as error:
        raise MalformedBody(f"line {table.line_num} is not CSV: {error}") from error


def _read_item(row: int, item: Any) -> FeedbackItem:
    if type(item) is not dict or set(item) not in _FORMS:
        return FeedbackItem(row, form=None)
    return FeedbackItem(row, **item, form="id" if "id" in item else "receipt")


def _wrong(problem: str) -> InvalidInput:
    return wrong_field("feedback", problem, "the body")


READERS: Mapping[str, Callable[[bytes], Iterator[FeedbackItem]]] = {
    JSON: _read_json,
    CSV: _read_csv,
    **dict.fromkeys(NDJSON, _read_lines),
}
"""Readers by content type."""
