"""Convert tensors of the Open Inference Protocol to float32 rows.

Two forms give the same rows: one tensor of all features, or one tensor per feature, by name. Values are checked for
being finite after the cast to float32, as the model sees them. This module must not know HTTP or torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.errors import InvalidInput, Problem, wrong_field
from app.inference.codecs.columns import (
    OUT_OF_RANGE,
    ValueColumn,
    all_finite,
    find_problems,
    floats_of_array,
    json_type,
)
from app.inference.codecs.converters import Converter, NumberConverter
from app.inference.codecs.headers import name_problems
from app.inference.codecs.oip import InferRequest, Tensor
from app.inference.codecs.oip_datatypes import BINARY, BITS, IN_JSON, array_of
from app.inference.codecs.rows import cells_of_array, converter_for, missing_cells
from app.inference.codecs.strict_json import as_whole
from app.schema import Float32, ModelSchema


def read_rows(request: InferRequest, schema: ModelSchema) -> Float32:
    """Return the rows as cells, float32, shape (N, W), N >= 1; without a copy where possible.

    Raises:
        InvalidInput: if names, shapes, datatypes or values do not fit the model.
    """
    if len(request.inputs) == 1 and schema.all_numbers and not _is_a_column(request.inputs[0], schema):
        return _matrix(request.inputs[0], schema)
    return _columns(request.inputs, schema)


def _is_a_column(tensor: Tensor, schema: ModelSchema) -> bool:
    """Return whether a tensor is that of one feature, beside which all others may be absent."""
    one = tensor.shape is not None and tensor.shape[1:] in {(), (1,)} and len(schema.features) > 1
    return bool(schema.optional) and one and schema.spell_as_features([tensor.name])[0] in schema.columns


def _matrix(tensor: Tensor, schema: ModelSchema) -> Float32:
    """Read one tensor of all features; its name does not matter."""
    features = len(schema.features)
    shape = _raw_shape(tensor, features) if tensor.shape is None else tensor.shape
    if features == 1 and len(shape) == 1:
        shape = (*shape, 1)
    if len(shape) != 2 or shape[1] != features or not shape[0]:
        got = f"{len(shape)} dimensions" if len(shape) != 2 else f"{shape[0]} rows of {shape[1]} values"
        accepted = f"must be [rows, {features}] with at least one row"
        raise _unfit(schema, "shape", f"{accepted}, or send a tensor for each feature by name; got {got}")
    return _values(tensor, shape, schema.features, schema).reshape(shape)  # (N, F)


def _raw_shape(tensor: Tensor, features: int) -> tuple[int, ...]:
    assert tensor.part is not None
    return (len(tensor.part) // (4 * features), features)


def _columns(tensors: Sequence[Tensor], schema: ModelSchema) -> Float32:
    """Read one tensor for each feature, in any order."""
    names = schema.spell_as_features(tensor.name for tensor in tensors)
    if problems := name_problems(names, schema, ignore_extra=False, hint="leave it out"):
        first = problems[0]
        what = "must be one tensor for each feature by name"
        what += ", or one of all features" if schema.all_numbers else ""
        raise _unfit(schema, "inputs", f"{what}; {first.feature!r} {first.problem}")
    named = dict(zip(names, tensors, strict=True))
    rows = {_rows_of(named[name], name, schema) for name in schema.features if name in named}
    if not rows:
        raise _unfit(schema, "inputs", "must have the tensor of at least one feature")
    if len(rows) != 1:
        raise _unfit(schema, "inputs", f"must all have the same number of rows, got {min(rows)} to {max(rows)}")
    (count,) = rows
    converters = zip(schema.features, converter_for(schema).converters, strict=True)
    columns = [
        _column(named[name], count, name, converter, schema) if name in named else missing_cells(count, converter)
        for name, converter in converters
    ]
    return np.concatenate(columns, axis=1)  # (N, W)


def _column(tensor: Tensor, rows: int, name: str, converter: Converter, schema: ModelSchema) -> Float32:
    """Return the cells of one feature, shape (N, width)."""
    if tensor.datatype == "BYTES":
        values = _texts(tensor, rows, name, schema)
    elif isinstance(converter, NumberConverter):
        return _values(tensor, (rows, 1), (name,), schema).reshape(-1, 1)
    elif tensor.datatype not in BINARY:
        raise _unfit(schema, "datatype", f"must be one of BYTES, {', '.join(BINARY)}")
    elif tensor.part is not None:
        cells, wrong_values = cells_of_array(converter, _array(tensor, rows, schema), BITS.get(tensor.datatype))
        for place, problem in wrong_values.items():
            raise _at(place, (name,), problem, schema)
        return cells
    else:
        values = _flat(tensor, (rows, 1), schema)
        if _floats(_in_json(tensor, schema), values, schema) is None:
            return _from_json(tensor, (rows, 1), (name,), schema)  # its error names the wrong value
        if tensor.datatype == "BOOL":
            values = [value if value is None else bool(value) for value in values]
        values = list(map(as_whole, values))  # a datatype has no more digits, however the text was parsed
    x = converter.cells(values)
    if x is None:
        place, problem = next(find_problems(values, converter.cells, converter.cell))
        raise _at(place, (name,), problem, schema)
    return x


def _texts(tensor: Tensor, rows: int, name: str, schema: ModelSchema) -> list[Any]:
    """Return the elements of a BYTES tensor: strings, or None for null in JSON."""
    if tensor.part is None:
        values = _flat(tensor, (rows, 1), schema)
        for place, value in enumerate(values):
            if type(value) is not str and not (value is None and schema.takes_missing):
                raise _at(place, (name,), f"must be a string, got {json_type(value)}", schema)
        return values
    texts: list[Any] = []
    start, data = 0, bytes(tensor.part)
    while start < len(data) and len(texts) < rows:
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        if start + 4 > len(data) or end > len(data):
            break
        try:
            texts.append(data[start + 4 : end].decode())
        except UnicodeDecodeError as error:
            raise _at(len(texts), (name,), "must be a text in UTF-8", schema) from error
        start = end
    if len(texts) != rows or start != len(data):
        raise _unfit(schema, f"data of {name!r}", f"must be {rows} elements, each preceded by its length in 4 bytes")
    return texts


def _rows_of(tensor: Tensor, feature: str, schema: ModelSchema) -> int:
    shape = tensor.shape or ()
    if len(shape) not in {1, 2} or shape[1:] not in {(), (1,)} or not shape[0]:
        raise _unfit(schema, f"shape of {feature!r}", "must be [rows] or [rows, 1] with at least one row")
    return shape[0]


def _values(tensor: Tensor, shape: Sequence[int], features: Sequence[str], schema: ModelSchema) -> Float32:
    """Return the values of a tensor row by row, float32, shape (rows * columns,)."""
    if tensor.datatype not in BINARY:
        raise _unfit(schema, "datatype", f"must be one of {', '.join(BINARY)}")
    read = _from_json if tensor.part is None else _from_bytes
    return read(tensor, shape, features, schema)


def _from_json(tensor: Tensor, shape: Sequence[int], features: Sequence[str], schema: ModelSchema) -> Float32:
    column, values = _in_json(tensor, schema), _flat(tensor, shape, schema)
    x = _floats(column, values, schema)
    if x is None:
        found = find_problems(values, column.floats, column.float_of)
        place, problem = next(at for at in found if not (schema.takes_missing and values[at[0]] is None))
        raise _at(place, features, problem, schema)
    return x


def _in_json(tensor: Tensor, schema: ModelSchema) -> ValueColumn:
    if tensor.datatype not in IN_JSON:
        raise _unfit(schema, "datatype", f"{tensor.datatype} cannot be sent as JSON, send it as binary data")
    return IN_JSON[tensor.datatype]


def _flat(tensor: Tensor, shape: Sequence[int], schema: ModelSchema) -> list[Any]:
    """Return the values of a tensor in JSON, row after row."""
    rows, columns = shape
    values = tensor.data or []
    if values and type(values[0]) is list:
        if len(values) != rows or any(type(row) is not list or len(row) != columns for row in values):
            raise _unfit(schema, "data", f"must be {rows} arrays of {columns} values, as the shape says, or flat")
        values = list(itertools.chain.from_iterable(values))
    if len(values) != rows * columns:
        raise _unfit(schema, "data", f"has {len(values)} values, the shape says {rows * columns}")
    return values


def _floats(column: ValueColumn, values: list[Any], schema: ModelSchema) -> Float32 | None:
    """Return values as float32, NaN in place of null where the model takes it; None if any is invalid."""
    return column.floats_or_gaps(values) if schema.takes_missing else column.floats(values)


def _from_bytes(tensor: Tensor, shape: Sequence[int], features: Sequence[str], schema: ModelSchema) -> Float32:
    rows, columns = shape
    x = floats_of_array(_array(tensor, rows * columns, schema))
    x = x if x.flags.aligned and x.flags.writeable else x.copy()
    if not all_finite(x):
        bad = np.isinf(x) if schema.takes_missing else ~np.isfinite(x)
        if bad.any():
            raise _at(int(np.flatnonzero(bad)[0]), features, OUT_OF_RANGE, schema)
    return x


def _array(tensor: Tensor, count: int, schema: ModelSchema) -> np.ndarray[Any, Any]:
    """Return the values of a binary tensor, shape (count,), without a copy if possible."""
    size = BINARY[tensor.datatype].itemsize
    part = tensor.part or memoryview(b"")
    if len(part) != count * size:
        expected = f"{count} values of {size} bytes"
        raise _unfit(schema, "binary_data_size", f"{len(part)} bytes were sent, shape and datatype say {expected}")
    return array_of(part, tensor.datatype)


def _at(place: int, features: Sequence[str], problem: str, schema: ModelSchema) -> InvalidInput:
    row, column = divmod(place, len(features))
    feature = features[column]
    detail = f"row {row}, feature {feature!r}: {problem}. {_expectation(schema)}"
    return InvalidInput(detail, (Problem(row, feature, problem),))


def _unfit(schema: ModelSchema, field: str, problem: str) -> InvalidInput:
    error = wrong_field(field, problem)
    return InvalidInput(f"{error}. {_expectation(schema)}", error.problems)


def _expectation(schema: ModelSchema) -> str:
    return f"{schema.name} has {len(schema.features)} features; see GET /v2/models/{schema.name}"
