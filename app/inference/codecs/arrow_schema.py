"""Read the schema of an Arrow IPC stream, and find the columns of the features.

It needs the extra `arrow`. It must not know record batches.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pyarrow as pa

from app.errors import InvalidInput, MalformedBody, Problem
from app.inference.codecs import arrow_columns
from app.inference.codecs.headers import id_place, name_problems, places_of
from app.schema import ModelSchema

DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError)
_KEPT_SCHEMA_BYTES = 16 << 10  # larger schemas are not cached, to bound the memory that clients can occupy


@dataclass(frozen=True, slots=True)
class StreamSchema:
    """The validated schema of a stream.

    Attributes:
        stored: schema of the record batches as they are stored, with the indices of dictionaries.
        places: column index of each feature, in feature order; None for an optional one that is not there.
        ids: column index of the ids; None if the request has none.
        has_dictionaries: whether any column has a dictionary, whose messages come before the record batches.
        reads_dictionaries: whether that of a feature has one.
        message: the schema as a message.
    """

    stored: pa.Schema
    places: list[int | None]
    ids: int | None
    has_dictionaries: bool
    reads_dictionaries: bool
    message: bytes


def read_schema(
    model_schema: ModelSchema, message: pa.ipc.Message, id_column: str | None, *, ignore_extra: bool
) -> StreamSchema:
    """Return the validated schema of a message.

    Raises:
        MalformedBody: if it cannot be read.
        InvalidInput: if its columns do not fit the model.
    """
    text = message.serialize().to_pybytes()
    make = _check_schema if len(text) <= _KEPT_SCHEMA_BYTES else _check_schema.__wrapped__
    return make(model_schema, text, id_column, ignore_extra)


@functools.lru_cache(maxsize=64)
def _check_schema(model_schema: ModelSchema, text: bytes, id_column: str | None, ignore_extra: bool) -> StreamSchema:
    schema = _parse(text)
    places = feature_places(model_schema, schema, ignore_extra=ignore_extra, id_column=id_column)
    ids = None if id_column is None else id_place(model_schema.spell_as_features(schema.names), id_column)
    # a dictionary column is stored in a record batch as its indices; unless it is a feature, it is never read
    kinds = [kind.index_type if pa.types.is_dictionary(kind) else kind for kind in schema.types]
    return StreamSchema(
        pa.schema(list(zip(schema.names, kinds, strict=True))),
        places,
        ids,
        kinds != schema.types,
        any(place is not None and pa.types.is_dictionary(schema.types[place]) for place in (*places, ids)),
        text,
    )


def feature_places(
    model_schema: ModelSchema, schema: pa.Schema, *, ignore_extra: bool, id_column: str | None = None
) -> list[int | None]:
    """Return the column index of each feature, in feature order; None for an optional one that is not there.

    Raises:
        InvalidInput: if the columns do not fit the model.
    """
    names = model_schema.spell_as_features(schema.names)
    if problems := _find_problems(model_schema, names, schema.types, ignore_extra=ignore_extra, id_column=id_column):
        where = f"column {problems[0].feature!r} " if problems[0].feature else ""
        raise InvalidInput(f"{where}{problems[0].problem}. {model_schema.expectation}", tuple(problems))
    return places_of(names, model_schema)


def _parse(text: bytes) -> pa.Schema:
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(text))
        return pa.schema(list(zip(schema.names, schema.types, strict=True)))  # decodes the names, perhaps not UTF-8
    except DAMAGE as error:
        raise MalformedBody("the schema of the Arrow stream is damaged") from error


def _find_problems(
    model_schema: ModelSchema,
    names: list[str],
    kinds: list[pa.DataType],
    *,
    ignore_extra: bool,
    id_column: str | None,
) -> list[Problem]:
    named = dict(zip(names, kinds, strict=True))
    problems = name_problems(names, model_schema, ignore_extra=ignore_extra, id_column=id_column)
    for name, feature in zip(model_schema.features, model_schema.types, strict=True):
        expected = arrow_columns.unfit(named[name], feature, model_schema) if name in named else None
        if expected:
            problems.append(Problem(None, name, f"must be {expected}, got {named[name]}"))
    if id_column is not None and id_column in named and (expected := arrow_columns.unfit_for_ids(named[id_column])):
        problems.append(Problem(None, id_column, f"must be {expected}, as it has the ids, got {named[id_column]}"))
    return problems
