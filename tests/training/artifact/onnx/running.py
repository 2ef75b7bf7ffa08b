"""Run a module and its ONNX file on the same rows, after the service's scan of the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from app.runtime.verify import onnx_scan
from training.artifact.onnx.write import answers_of, to_onnx
from training.learners.protocol import predictor

Floats = npt.NDArray[np.float32]


def both(module: nn.Module, x: npt.NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the answers of the file of a module, and those of the module."""
    x = x.astype(np.float32)
    expected = predictor(module)(x)
    content = to_onnx(module, "value", x.shape[1], expected.shape[1])
    onnx_scan.inspect(content)  # else the service would leave it out
    return answers_of(content, x), expected
