"""Read rows from newline-delimited JSON and write predictions as such, one per line.

This module must not know HTTP or torch.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from app.errors import InvalidInput, MalformedBody, Problem, ServingError
from app.inference.additions.added import AddedOutputs
from app.inference.codecs import frames, strict_json
from app.inference.codecs.blocks import TEXT_BLOCK_ROWS, RowByRow
from app.inference.codecs.columns import json_type
from app.inference.codecs.json_answers import frame
from app.inference.codecs.json_rows import plain_rows, precise_rows
from app.inference.codecs.lines import LineReader
from app.inference.codecs.row_ids import RowIds, read_cell_id
from app.inference.predictions import Predictions
from app.schema import Float32, ModelSchema
from modelstore.reading import LINE_ENDS_LOST

CONTENT_TYPE = "application/x-ndjson"
CONTENT_TYPES = (CONTENT_TYPE, "application/jsonl", "application/ndjson")  # all common names; none is registered

_SEVERAL = re.compile(rb"\][ \t]*\[|\}[ \t]*\{")


def ndjson_reader(schema: ModelSchema, *, ignore_extra: bool = False, id_column: str | None = None) -> LineReader:
    """Return a reader of lines with one row each: arrays in feature order or objects by feature name.

    Rows with ids are objects, read one by one.
    """

    def fast(lines: bytes) -> Float32 | None:
        """Return the rows of whole lines, (N, W); None if any needs the precise reader."""
        feeds = lines.count(b"\n")
        if id_column is not None:
            return None
        if lines.count(b"]\n[") + lines.count(b"}\n{") != feeds:  # or a row could span lines and another share one
            return None
        rows = plain_rows(b"[%b]" % lines.replace(b"\n", b",\n"), schema)  # a text with a line feed is no JSON
        return rows if rows is not None and len(rows) == feeds + 1 else None

    def precise(line: bytes) -> Float32:
        """Return the row of a line, (1, W), or raise what is wrong with it."""
        return precise_rows([_parse(line)], schema, ignore_extra=ignore_extra, id_column=id_column)

    def own_id(line: bytes) -> str | None:
        """Return the id in a line, or raise what is wrong with it."""
        row = _parse(line)
        if not isinstance(row, dict):
            raise InvalidInput(f"is in objects by name only; the row is {json_type(row)}")
        values = dict(zip(schema.spell_as_features(row), row.values(), strict=True))
        if id_column not in values:
            raise InvalidInput("is missing, which names the ids; a row without an id has null there")
        return read_cell_id(values[id_column])

    ids = None if id_column is None else RowIds(id_column, own_id)
    return LineReader(schema, fast, precise, first=1, ids=ids)


def _parse(line: bytes) -> Any:
    try:
        return strict_json.parse_line(line)
    except MalformedBody as error:
        if _SEVERAL.search(line):
            raise MalformedBody(f"has several rows, one is expected; {LINE_ENDS_LOST}") from error
        raise


class NdjsonWriter(RowByRow):
    """Write one prediction object per line; numbered ones include their line in the request."""

    block_rows = TEXT_BLOCK_ROWS

    def __init__(self, schema: ModelSchema, content_type: str = CONTENT_TYPE, added: AddedOutputs = ()) -> None:
        self.content_type = content_type
        self._frame = frame(schema, b"\n", added, alone=True)

    def rows(self, predictions: Predictions) -> bytes:
        """Return the rows of an answer."""
        return frames.write(predictions, self._frame) + b"\n"

    def numbered_row(self, number: int, predictions: Predictions | None, problem: Problem | None) -> bytes:
        """Return one row with its line number in the request: its answer or its problem."""
        if predictions is not None:
            return b'{"line":%d,%b' % (number, self.rows(predictions)[1:])
        wrong = {"feature": problem.feature, "problem": problem.problem} if problem else None
        return orjson.dumps({"line": number, "error": wrong}) + b"\n"

    def failure(self, error: ServingError) -> bytes:
        """Return a last line that holds the error instead of a prediction."""
        return orjson.dumps({"error": {"detail": str(error)}}) + b"\n"
