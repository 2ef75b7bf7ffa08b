"""Standardisation as a torch module, so that it is part of the published model."""

# no `from __future__ import annotations` here: TorchScript reads the annotations of module attributes
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

CHUNK_ROWS = 16_384


class StandardScaler(nn.Module):
    """Subtract the mean and divide by the scale of each feature.

    Attributes:
        mean: (F,) float32, in each feature's unit.
        scale: (F,) float32, in each feature's unit; never 0.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised features, float32 (N, F), from raw ones of the same shape."""
        return (x - self.mean) / self.scale  # (N, F)


def fit_scaler(x: npt.NDArray[np.floating[Any]]) -> StandardScaler:
    """Learn mean and scale of each feature in one pass over the training rows.

    Args:
        x: raw features, float32 or float64, shape (N, F), finite; N >= 1.

    Returns:
        Scaler with float32 buffers of shape (F,), rounded from float64 statistics. Constant columns get scale 1.
    """
    mean, variance = moments(x)
    scale = np.where(_is_constant(mean, variance, len(x)), 1.0, np.sqrt(variance))
    return StandardScaler(torch.from_numpy(mean).float(), torch.from_numpy(scale).float())


def constant_columns(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Return which columns of raw features (N, F) are constant except for rounding, shape (F,)."""
    return _is_constant(*moments(x), len(x))


def moments(x: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return mean and variance (ddof = 0) of each column of (N, F), both float64 (F,), in one pass over the rows.

    Needs the memory of one chunk in float64. Each chunk is centred before it is squared, and chunks are merged by their
    means, so a large mean with a small spread loses no precision.

    Source: pairwise merging, Chan, Golub & LeVeque, Am. Stat. 37(3), 1983, equations 1.5.
    """
    rows, mean, squares = 0, np.zeros(x.shape[1]), np.zeros(x.shape[1])  # squares: sums of squared deviations
    for start in range(0, len(x), CHUNK_ROWS):
        chunk = x[start : start + CHUNK_ROWS].astype(np.float64)  # (n, F)
        share = len(chunk) / (rows + len(chunk))
        chunk_mean = chunk.mean(axis=0)
        chunk -= chunk_mean
        step = chunk_mean - mean
        squares += np.einsum("nf,nf->f", chunk, chunk) + step**2 * (rows * share)
        mean += step * share
        rows += len(chunk)
    return mean, squares / rows


def _is_constant(mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.bool_]:
    """Compare the variance with the bound that rounding alone can reach.

    Source: the bound of `sklearn.preprocessing._data._is_constant_feature`; in addition, a scale that float32 would
    round to 0 counts as constant.
    """
    eps = float(np.finfo(np.float64).eps)
    bound = rows * eps * variance + (rows * mean * eps) ** 2
    return (variance <= bound) | (np.sqrt(variance) < np.finfo(np.float32).tiny)
