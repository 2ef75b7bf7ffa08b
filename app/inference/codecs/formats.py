"""Table of block formats: content type to reader and writer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.errors import wrong_field
from app.inference.additions.added import AddedOutputs
from app.inference.codecs import csv, csv_answers, float32, json_answers, ndjson
from app.inference.codecs.blocks import BlockReader, BlockWriter
from app.inference.options import PLAIN, PredictionOptions
from app.schema import ModelSchema

if importlib.util.find_spec("pyarrow"):
    from app.inference.codecs import arrow, arrow_answers
else:
    arrow = None  # type: ignore[assignment] # the extra `arrow` is not installed


TEXT = (csv.CONTENT_TYPE, csv.TAB_SEPARATED, *ndjson.CONTENT_TYPES)


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """Options of a bulk request.

    Attributes:
        ignore_extra: ignore columns and names that the model does not know, instead of refusing them.
        skip: answer a bad row, in its place, with the problem, instead of ending the answer.
        asked: what the request asks for in place of, or beside, the usual answer.
    """

    ignore_extra: bool = False
    skip: bool = False
    asked: PredictionOptions = PLAIN


Readers = Mapping[str, Callable[[ModelSchema, BulkOptions], BlockReader]]
MakeWriter = Callable[[ModelSchema, BulkOptions, AddedOutputs], BlockWriter]
Writers = Mapping[str, MakeWriter]


def readers() -> Readers:
    """Return the readers by content type, for the formats that this installation can read."""
    known: dict[str, Callable[[ModelSchema, BulkOptions], BlockReader]] = {
        csv.CONTENT_TYPE: lambda schema, options: csv.CsvReader(schema, **_naming(options)),
        csv.TAB_SEPARATED: lambda schema, options: csv.CsvReader(schema, delimiter="\t", **_naming(options)),
        **dict.fromkeys(ndjson.CONTENT_TYPES, lambda schema, options: ndjson.ndjson_reader(schema, **_naming(options))),
        float32.CONTENT_TYPE: lambda schema, options: float32.Float32Reader(_require_no_ids(schema, options)),
    }
    if arrow is not None:
        known[arrow.CONTENT_TYPE] = lambda schema, options: arrow.ArrowReader(schema, **_naming(options))
    return known


def _naming(options: BulkOptions) -> dict[str, Any]:
    """Return how the columns of a table are read by their names."""
    return {"ignore_extra": options.ignore_extra, "id_column": options.asked.id_column}


def _require_no_ids(schema: ModelSchema, options: BulkOptions) -> ModelSchema:
    """Return the schema of a request without a column of ids.

    Raises:
        InvalidInput: if the request names one, which float32 values do not have.
    """
    if options.asked.id_column is not None:
        raise wrong_field("id_column", "is for CSV, NDJSON and Arrow; float32 values have no names", "id_column")
    return schema


def writers() -> Writers:
    """Return the writers by content type, for the formats that this installation can write."""
    known: dict[str, MakeWriter] = {
        csv.CONTENT_TYPE: lambda schema, options, added: csv_answers.CsvWriter(schema, added, numbered=options.skip),
        **{kind: partial(_ndjson_writer, kind) for kind in ndjson.CONTENT_TYPES},
        float32.CONTENT_TYPE: lambda schema, _, added: float32.Float32Writer(schema, added),
        json_answers.CONTENT_TYPE: lambda schema, _, added: json_answers.RowsWriter(schema, added),
    }
    if arrow is not None:
        known[arrow.CONTENT_TYPE] = lambda schema, _, added: arrow_answers.ArrowWriter(schema, added)
    return known


def _ndjson_writer(kind: str, schema: ModelSchema, _options: BulkOptions, added: AddedOutputs) -> BlockWriter:
    return ndjson.NdjsonWriter(schema, kind, added)
