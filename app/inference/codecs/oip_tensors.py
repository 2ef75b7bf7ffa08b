"""Convert tensors of the Open Inference Protocol to float32 rows.

Two forms give the same rows: one tensor of all features, or one tensor per feature, by name. Values are checked for
being finite after the cast to float32, as the model sees them. This module must not know HTTP or torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.errors import InvalidInput, Problem
from app.inference.codecs.columns import OUT_OF_RANGE, ValueColumn, all_finite, floats_of_array
from app.inference.codecs.oip import InferRequest, Tensor
from app.inference.codecs.oip_fields import wrong
from app.schema import Float32, ModelSchema
from modelstore.reading import SAME_NAME, repeated

_BINARY: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("u1"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
DATATYPES = tuple(_BINARY)  # accepted for inputs


def _whole_numbers(datatype: str) -> ValueColumn:
    limits = np.iinfo(_BINARY[datatype])
    return ValueColumn(f"values of {datatype}", frozenset((int,)), (limits.min, limits.max))


_IN_JSON = {
    "BOOL": ValueColumn("values of BOOL", frozenset((int, bool)), (0, 1)),
    **{datatype: _whole_numbers(datatype) for datatype in _BINARY if datatype.startswith(("INT", "UINT"))},
    **dict.fromkeys(("FP32", "FP64"), ValueColumn("numbers", frozenset((int, float)))),
}


def read_rows(request: InferRequest, schema: ModelSchema) -> Float32:
    """Return the rows in feature order, float32, shape (N, F), finite, N >= 1; without a copy where possible.

    Raises:
        InvalidInput: if names, shapes, datatypes or values do not fit the model.
    """
    if len(request.inputs) == 1:
        return _matrix(request.inputs[0], schema)
    return _columns(request.inputs, schema)


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
    names = schema.recognised(tensor.name for tensor in tensors)
    for first, second in repeated(names).values():
        raise _unfit(schema, "inputs", f"tensors {first} and {second} have the same name; {SAME_NAME}")
    named = dict(zip(names, tensors, strict=True))
    if named.keys() != schema.columns.keys():
        missing = [repr(name) for name in schema.features if name not in named]
        unknown = len(named.keys() - schema.columns.keys())
        what = f"missing: {', '.join(missing[:5]) or 'none'}; {unknown} are no feature"
        raise _unfit(schema, "inputs", f"must be one tensor of all features or one for each by name ({what})")
    rows = {_rows_of(named[name], name, schema) for name in schema.features}
    if len(rows) != 1:
        raise _unfit(schema, "inputs", f"must all have the same number of rows, got {min(rows)} to {max(rows)}")
    columns = [_values(named[name], (*rows, 1), (name,), schema) for name in schema.features]
    return np.stack(columns, axis=1)  # (N, F)


def _rows_of(tensor: Tensor, feature: str, schema: ModelSchema) -> int:
    shape = tensor.shape or ()
    if len(shape) not in {1, 2} or shape[1:] not in {(), (1,)} or not shape[0]:
        raise _unfit(schema, f"shape of {feature!r}", "must be [rows] or [rows, 1] with at least one row")
    return shape[0]


def _values(tensor: Tensor, shape: Sequence[int], features: Sequence[str], schema: ModelSchema) -> Float32:
    """Return the values of a tensor row by row, float32, shape (rows * columns,)."""
    if tensor.datatype not in _BINARY:
        raise _unfit(schema, "datatype", f"must be one of {', '.join(_BINARY)}")
    read = _from_json if tensor.part is None else _from_bytes
    return read(tensor, shape, features, schema)


def _from_json(tensor: Tensor, shape: Sequence[int], features: Sequence[str], schema: ModelSchema) -> Float32:
    rows, columns = shape
    values = tensor.data or []
    if tensor.datatype not in _IN_JSON:
        raise _unfit(schema, "datatype", f"{tensor.datatype} cannot be sent as JSON, send it as binary data")
    if values and type(values[0]) is list:
        if len(values) != rows or any(type(row) is not list or len(row) != columns for row in values):
            raise _unfit(schema, "data", f"must be {rows} arrays of {columns} values, as the shape says, or flat")
        values = list(itertools.chain.from_iterable(values))
    if len(values) != rows * columns:
        raise _unfit(schema, "data", f"has {len(values)} values, the shape says {rows * columns}")
    column = _IN_JSON[tensor.datatype]
    x = column.floats(values)
    if x is None:
        place, problem = next(column.problems(values))
        raise _at(place, features, problem, schema)
    return x


def _from_bytes(tensor: Tensor, shape: Sequence[int], features: Sequence[str], schema: ModelSchema) -> Float32:
    rows, columns = shape
    kind = _BINARY[tensor.datatype]
    part = tensor.part or memoryview(b"")
    if len(part) != rows * columns * kind.itemsize:
        expected = f"{rows * columns} values of {kind.itemsize} bytes"
        raise _unfit(schema, "binary_data_size", f"{len(part)} bytes were sent, shape and datatype say {expected}")
    x = _cast(np.frombuffer(part, kind), tensor.datatype)
    if not all_finite(x):
        raise _at(int(np.flatnonzero(~np.isfinite(x))[0]), features, OUT_OF_RANGE, schema)
    return x


def _cast(values: np.ndarray[Any, Any], datatype: str) -> Float32:
    """Return values as float32 that may be written to, without a copy if possible."""
    if datatype == "BF16":
        values = (values.astype("<u4") << 16).view("<f4")
    elif datatype == "BOOL":
        values = values != 0
    x = floats_of_array(values)
    return x if x.flags.aligned and x.flags.writeable else x.copy()


def _at(place: int, features: Sequence[str], problem: str, schema: ModelSchema) -> InvalidInput:
    row, column = divmod(place, len(features))
    feature = features[column]
    detail = f"row {row}, feature {feature!r}: {problem}. {_expectation(schema)}"
    return InvalidInput(detail, (Problem(row, feature, problem),))


def _unfit(schema: ModelSchema, field: str, problem: str) -> InvalidInput:
    error = wrong(field, problem)
    return InvalidInput(f"{error}. {_expectation(schema)}", error.problems)


def _expectation(schema: ModelSchema) -> str:
    return f"{schema.name} has {len(schema.features)} features; see GET /v2/models/{schema.name}"
