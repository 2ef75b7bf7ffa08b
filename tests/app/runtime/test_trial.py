"""What a trial of each file of a version says.

`test_load.py` has what becomes of the version.
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from app.runtime.engines.onnx import OnnxEngine
from app.runtime.errors import DeviceLost, VersionRefused
from app.runtime.trial import prove_alone_and_together, read_onnx, require_device, try_out
from modelstore.names import ONNX_FILE
from tests.fakes import MeanModel, manifest_for, script
from tests.onnx_models import graph, mean_constants, mean_nodes, mean_onnx, saved

MODEL = MeanModel(2, 0.0)
MANIFEST = manifest_for(MODEL, script(MODEL))


def divides_by_zero() -> bytes:
    """Return a model that divides by zero before it answers."""
    divided = helper.make_node("Div", ["features", "zero"], ["rows"])
    return saved(graph([divided, *mean_nodes("rows")], mean_constants()))


def over_all_rows() -> bytes:
    """Return a model that centres the rows of a call."""
    nodes = [
        helper.make_node("ReduceMean", ["features", "none"], ["centre"], keepdims=1),
        helper.make_node("Sub", ["features", "centre"], ["centred"]),
        helper.make_node("Add", ["centred", "half"], ["rows"]),
    ]
    constants = {"none": np.array([0]), "half": np.array(0.5, np.float32)}
    return saved(graph([*nodes, *mean_nodes("rows")], mean_constants() | constants))


def too_many_outputs() -> bytes:
    """Return a model with three probabilities."""
    last = helper.make_node("Concat", ["low", "high", "high"], ["probabilities"], axis=1)
    return saved(graph([*mean_nodes()[:-1], last], mean_constants(), outputs=3))


ONNX = {
    "garbage": (b"no model", "onnx_forbidden"),
    "other operator": (mean_onnx().replace(b"ReduceMean", b"ReduceProd"), "golden_mismatch"),
    "other weights": (mean_onnx(0.01), "golden_mismatch"),
    "not a number": (divides_by_zero(), "contract_finite"),
    "over all rows": (over_all_rows(), "rows_not_independent"),
    "other shape": (too_many_outputs(), "contract_shape"),
    "graph without a meaning": (saved(graph([helper.make_node("Relu", [], [])], {})), "load_failed"),
}


@pytest.mark.parametrize(("data", "reason"), ONNX.values(), ids=ONNX.keys())
def test_onnx_that_breaks_its_promise_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(VersionRefused) as refused:
        try_out(MANIFEST, 1, data, ONNX_FILE)

    assert refused.value.reason == reason
    assert "/" not in refused.value.detail


def test_good_files_pass() -> None:
    try_out(MANIFEST, 1, script(MODEL))
    try_out(MANIFEST, 1, mean_onnx(), ONNX_FILE)

    assert isinstance(read_onnx(MANIFEST, 1, mean_onnx()), OnnxEngine)


def test_lost_device_is_told_and_raised() -> None:
    class Lost:
        name = "lost"

        def infer(self, _x: object) -> np.ndarray:
            raise RuntimeError("CUDA error: device-side assert triggered")

    told: list[str] = []
    with pytest.raises(DeviceLost):
        prove_alone_and_together([Lost()], MANIFEST, 1, lambda: told.append("lost"))
    require_device(ValueError("CUDA error"), lambda: told.append("not lost"))

    assert told == ["lost"]
