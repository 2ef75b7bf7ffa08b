"""ONNX Runtime answers as the network, with the same bits alone and among others."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from app.runtime.engines import onnx
from app.runtime.engines.onnx import OnnxEngine
from app.runtime.verify.zip_archive import Forbidden
from tests.onnx_models import mean_onnx, network_onnx

X = np.random.default_rng(5).normal(0, 2, (300, 9)).astype(np.float32)


@pytest.fixture(scope="module")
def layers() -> torch.nn.Sequential:
    torch.manual_seed(3)
    first, second, third = torch.nn.Linear(9, 15), torch.nn.Linear(15, 15), torch.nn.Linear(15, 3)
    return torch.nn.Sequential(first, torch.nn.ReLU(), second, torch.nn.ReLU(), third)


def test_rows_are_answered_as_by_torch_and_bit_for_bit_the_same_in_any_company(layers: torch.nn.Sequential) -> None:
    engine = OnnxEngine(network_onnx(layers), 9, 3)
    with torch.inference_mode():
        expected = torch.softmax(layers(torch.from_numpy(X)), dim=1).numpy()

    together = engine.infer(X)

    np.testing.assert_allclose(together, expected, rtol=0, atol=1e-6)
    for rows in (1, 2, 7, 64):
        parts = [engine.infer(X[start : start + rows]) for start in range(0, len(X), rows)]
        np.testing.assert_array_equal(np.concatenate(parts), together)


@pytest.mark.slow
@pytest.mark.parametrize(
    "load",
    [
        "app.runtime.engines.onnx import runtime as load",
        pytest.param("training.artifact.onnx.write import load_runtime as load", marks=pytest.mark.slow),
    ],
)
def test_the_library_sends_no_usage_data(load: str) -> None:
    """It looked up an address of its maker as soon as it was imported."""
    program = f"import os, sys\nfrom {load}\nassert 'onnxruntime' not in sys.modules\n"
    program += "assert load().__name__ == 'onnxruntime'\nprint(os.environ['ORT_DISABLE_TELEMETRY'])"
    plain = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", program], env=plain, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(("cells", "outputs", "name"), [(3, 2, "features"), (2, 3, "probabilities")])
def test_other_shapes_than_those_of_the_manifest_are_refused_by_name(cells: int, outputs: int, name: str) -> None:
    with pytest.raises(Forbidden) as refused:
        OnnxEngine(mean_onnx(), cells, outputs)

    assert refused.value.reason == "contract_shape"
    assert str(refused.value).startswith(f"{name} is tensor(float)")


def test_file_with_the_mark_of_onnx_runtimes_own_format_is_read_as_onnx() -> None:
    marked = b"\x12\x06\0\0ORTM" + mean_onnx()  # the field `producer_name`

    assert OnnxEngine(marked, 2, 2).infer(np.array([[0.25, 0.75]], np.float32)).tolist() == [[0.5, 0.5]]


def test_missing_library_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    onnx.runtime.cache_clear()
    try:
        with caplog.at_level("INFO"):
            assert onnx.runtime() is None
            assert onnx.runtime() is None
    finally:
        onnx.runtime.cache_clear()

    assert caplog.text.count("onnxruntime is not installed") == 1
