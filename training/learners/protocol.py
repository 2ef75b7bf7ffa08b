"""What every learner offers: rows in, events on the way, a module in the end; it must not know any learner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

CHUNK_ROWS = 65_536

Predict = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.float32]]
"""Raw features, float32 or float64 (N, F), to predictions, float32 (N, K): for classes their probabilities."""


def predictor(module: nn.Module) -> Predict:
    """Return the module as a NumPy function; long inputs go through in chunks, so memory stays bounded."""
    module.eval()

    def predict(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            chunks = [
                module(torch.from_numpy(np.asarray(x[start : start + CHUNK_ROWS], dtype=np.float32)))
                for start in range(0, max(1, len(x)), CHUNK_ROWS)
            ]
            predictions: npt.NDArray[np.float32] = torch.cat(chunks).numpy()  # (N, K)
        return predictions

    return predict
