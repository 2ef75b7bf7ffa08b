"""The same hand-optimised service with ONNX Runtime in place of TorchScript."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.baselines.asgi_service import Engine, Service
from benchmarks.baselines.model import load
from benchmarks.baselines.server import serve


def onnx_runtime(path: Path) -> Engine:
    """Return a session as a function of arrays, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (taken,), outputs = session.get_inputs(), [session.get_outputs()[0].name]

    def predict(x: NDArray[np.float32]) -> NDArray[np.float32]:
        return session.run(outputs, {taken.name: x})[0]  # type: ignore[no-any-return]

    return predict


if __name__ == "__main__":
    engine = onnx_runtime(Path(os.environ["BENCH_STORE"]) / "iris" / "1" / "model.onnx")
    serve(Service(load(freeze=True), engine))
