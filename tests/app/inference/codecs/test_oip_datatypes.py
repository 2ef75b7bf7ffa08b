"""Datatypes: values of each are the same in JSON and in binary data, or refused."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import InvalidInput
from tests.app.inference.codecs.tensors import read
from tests.app.oip import NUMPY, announced, body_of, tensor, whole


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("datatype", [name for name in NUMPY if name != "FP16"])
def test_every_datatype_is_cast(datatype: str, binary: bool) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(NUMPY[datatype])
    if datatype != "BOOL":
        values[0, 0] = 100
    described, part = announced(values, datatype)
    body = body_of(whole([described]), part) if binary else body_of(whole([tensor(values, datatype)]))

    assert np.array_equal(read(body), values.astype(np.float32))


def test_half_precision_is_read_as_binary_and_refused_as_json() -> None:
    described, part = announced([[0.5, -2, 65504]], "FP16")

    assert read(body_of(whole([described]), part)).tolist() == [[0.5, -2, 65504]]
    with pytest.raises(InvalidInput, match="FP16 cannot be sent as JSON, send it as binary data"):
        read(body_of(whole([tensor([[0.5, -2, 3]], "FP16")])))


def test_bfloat16_is_the_upper_half_of_float32() -> None:
    x = np.array([[1.0, -2.5, 3e38]], dtype=np.float32)
    upper = (x.view("<u4") >> 16).astype("<u2")
    described = {"name": "x", "shape": [1, 3], "datatype": "BF16", "parameters": {"binary_data_size": 6}}

    assert np.allclose(read(body_of(whole([described]), upper.tobytes())), x, rtol=2**-7)
