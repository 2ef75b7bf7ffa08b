"""Datatypes of the Open Inference Protocol: their values in JSON and in binary data.

This module must not know tensors or models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.inference.codecs.columns import ValueColumn
from modelstore import ColumnType

BINARY: dict[str, np.dtype[Any]] = {
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
BITS = {"BF16": 8}  # significant ones, where the values of a datatype become an array of another
DATATYPES = tuple(BINARY)  # accepted for numbers
DATATYPE_OF: dict[ColumnType, str] = {"numeric": "FP32", "categorical": "BYTES", "boolean": "BOOL", "datetime": "BYTES"}
"""Datatype in which the values of a feature are described and best sent."""


def _whole_numbers(datatype: str) -> ValueColumn:
    limits = np.iinfo(BINARY[datatype])
    return ValueColumn(f"values of {datatype}", frozenset((int,)), (limits.min, limits.max))


IN_JSON = {
    "BOOL": ValueColumn("values of BOOL", frozenset((int, bool)), (0, 1)),
    **{datatype: _whole_numbers(datatype) for datatype in BINARY if datatype.startswith(("INT", "UINT"))},
    **dict.fromkeys(("FP32", "FP64"), ValueColumn("numbers", frozenset((int, float)))),
}


def array_of(part: memoryview, datatype: str) -> np.ndarray[Any, Any]:
    """Return the values of whole binary data, shape (N,), without a copy if possible.

    Those of BF16 become float32, those of BOOL bool: any byte but 0 is true.
    """
    values: np.ndarray[Any, Any] = np.frombuffer(part, BINARY[datatype])
    if datatype == "BF16":
        return (values.astype("<u4") << 16).view("<f4")
    return values != 0 if datatype == "BOOL" else values
