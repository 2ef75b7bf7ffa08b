"""Table of block formats: content type to reader and writer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from app.inference.choice import Override
from app.inference.codecs import csv, csv_answers, float32, json_answers, ndjson
from app.inference.codecs.blocks import BlockReader, BlockWriter
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
        strict: refuse a row that would be answered with a warning; None as the version says.
        override: the decision that the request wants in place of the version's own.
    """

    ignore_extra: bool = False
    skip: bool = False
    strict: bool | None = None
    override: Override | None = None


Readers = Mapping[str, Callable[[ModelSchema, BulkOptions], BlockReader]]
Writers = Mapping[str, Callable[[ModelSchema, BulkOptions], BlockWriter]]


def readers() -> Readers:
    """Return the readers by content type, for the formats that this installation can read."""
    known: dict[str, Callable[[ModelSchema, BulkOptions], BlockReader]] = {
        csv.CONTENT_TYPE: lambda schema, options: csv.CsvReader(schema, ignore_extra=options.ignore_extra),
        csv.TAB_SEPARATED: lambda schema, options: csv.CsvReader(
            schema, ignore_extra=options.ignore_extra, delimiter="\t"
        ),
        **dict.fromkeys(
            ndjson.CONTENT_TYPES,
            lambda schema, options: ndjson.ndjson_reader(schema, ignore_extra=options.ignore_extra),
        ),
        float32.CONTENT_TYPE: lambda schema, _: float32.Float32Reader(schema),
    }
    if arrow is not None:
        known[arrow.CONTENT_TYPE] = lambda schema, options: arrow.ArrowReader(schema, ignore_extra=options.ignore_extra)
    return known


def writers() -> Writers:
    """Return the writers by content type, for the formats that this installation can write."""
    known: dict[str, Callable[[ModelSchema, BulkOptions], BlockWriter]] = {
        csv.CONTENT_TYPE: lambda schema, options: csv_answers.CsvWriter(schema, numbered=options.skip),
        **{kind: partial(_ndjson_writer, kind) for kind in ndjson.CONTENT_TYPES},
        float32.CONTENT_TYPE: lambda schema, _: float32.Float32Writer(schema),
        json_answers.CONTENT_TYPE: lambda schema, _: json_answers.RowsWriter(schema),
    }
    if arrow is not None:
        known[arrow.CONTENT_TYPE] = lambda schema, _: arrow_answers.ArrowWriter(schema)
    return known


def _ndjson_writer(kind: str, schema: ModelSchema, _options: BulkOptions) -> BlockWriter:
    return ndjson.NdjsonWriter(schema, kind)
