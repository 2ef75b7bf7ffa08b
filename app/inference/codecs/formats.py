"""Table of block formats: content type to reader and writer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from app.inference.codecs import csv, float32, json_answers, ndjson
from app.inference.codecs.blocks import BlockReader, BlockWriter
from app.schema import Contract

if importlib.util.find_spec("pyarrow"):
    from app.inference.codecs import arrow, arrow_answers
else:
    arrow = None  # type: ignore[assignment] # the extra `arrow` is not installed


TEXT = (csv.CONTENT_TYPE, csv.TAB_SEPARATED, *ndjson.CONTENT_TYPES)


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """Options of a bulk request.

    Attributes:
        ignore_extra: ignore columns that the model does not know, instead of refusing them.
        skip: answer a bad row, in its place, with the problem, instead of ending the answer.
    """

    ignore_extra: bool = False
    skip: bool = False


Readers = Mapping[str, Callable[[Contract, BulkOptions], BlockReader]]
Writers = Mapping[str, Callable[[Contract, BulkOptions], BlockWriter]]


def readers() -> Readers:
    """Return the readers by content type, for the formats that this installation can read."""
    known: dict[str, Callable[[Contract, BulkOptions], BlockReader]] = {
        csv.CONTENT_TYPE: lambda contract, options: csv.CsvReader(contract, ignore_extra=options.ignore_extra),
        csv.TAB_SEPARATED: lambda contract, options: csv.CsvReader(
            contract, ignore_extra=options.ignore_extra, delimiter="\t"
        ),
        **dict.fromkeys(ndjson.CONTENT_TYPES, lambda contract, _: ndjson.ndjson_reader(contract)),
        float32.CONTENT_TYPE: lambda contract, _: float32.Float32Reader(contract),
    }
    if arrow is not None:
        known[arrow.CONTENT_TYPE] = lambda contract, options: arrow.ArrowReader(
            contract, ignore_extra=options.ignore_extra
        )
    return known


def writers() -> Writers:
    """Return the writers by content type, for the formats that this installation can write."""
    known: dict[str, Callable[[Contract, BulkOptions], BlockWriter]] = {
        csv.CONTENT_TYPE: lambda contract, options: csv.CsvWriter(contract, numbered=options.skip),
        **{kind: partial(_ndjson_writer, kind) for kind in ndjson.CONTENT_TYPES},
        float32.CONTENT_TYPE: lambda contract, _: float32.Float32Writer(contract),
        json_answers.CONTENT_TYPE: lambda contract, _: json_answers.RowsWriter(contract),
    }
    if arrow is not None:
        known[arrow.CONTENT_TYPE] = lambda contract, _: arrow_answers.ArrowWriter(contract)
    return known


def _ndjson_writer(kind: str, contract: Contract, _options: BulkOptions) -> BlockWriter:
    return ndjson.NdjsonWriter(contract, kind)
