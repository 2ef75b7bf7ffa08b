"""Standardisation as a torch module, so that it is part of the published model."""

# no `from __future__ import annotations` here: TorchScript reads the annotations of module attributes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

CHUNK_ROWS = 16_384


class StandardScaler(nn.Module):
    """Subtract the mean and divide by the scale of each column; a missing value counts as the mean.

    Attributes:
        mean: (F,) float32, in each column's unit.
        scale: (F,) float32, in each column's unit; never 0.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised values, float32 (N, F), from raw ones of the same shape; NaN becomes 0."""
        scaled = (x - self.mean).div_(self.scale)  # (N, F); in place costs a row nothing
        return scaled.nan_to_num_(0.0, float("inf"), -float("inf"))


Floats = npt.NDArray[np.float64]
View = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.floating[Any]]]
"""Function from a chunk of rows to the columns that are measured."""


def fit_scaler(x: npt.NDArray[np.floating[Any]]) -> StandardScaler:
    """Learn mean and scale of each column in one pass over the training rows.

    Args:
        x: raw values, float32 or float64, shape (N, F), finite or NaN; N >= 1.

    Returns:
        Scaler with float32 buffers of shape (F,), rounded from float64 statistics of the present values. Constant
        columns get scale 1.
    """
    return make_scaler(*compute_moments(x), rows=len(x))


def make_scaler(mean: Floats, variance: Floats, *, rows: int) -> StandardScaler:
    """Return the scaler of columns with these moments, both (F,), over `rows` rows."""
    scale = np.where(find_constant(mean, variance, rows), 1.0, np.sqrt(variance))
    return StandardScaler(torch.from_numpy(mean).float(), torch.from_numpy(scale).float())


def find_constant_columns(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Return which columns of raw values (N, F) are constant except for rounding and gaps, shape (F,)."""
    return find_constant(*compute_moments(x), len(x))


def compute_moments(x: npt.NDArray[np.floating[Any]], view: View = np.asarray) -> tuple[Floats, Floats]:
    """Return mean and variance (ddof = 0) of each column's present values, float64 (F,), in one pass over the rows.

    Needs the memory of one chunk in float64. Each chunk is centred before it is squared, and chunks are merged by their
    means, so a large mean with a small spread loses no precision. A column without any value has mean and variance 0.

    Args:
        x: rows, shape (N, W); NaN is missing.
        view: makes the F columns of a chunk of rows, if they are not the rows themselves.

    Source: pairwise merging, Chan, Golub & LeVeque, Am. Stat. 37(3), 1983, equations 1.5.
    """
    rows: Any = 0  # present values so far; (F,) once there is a gap
    mean = squares = np.zeros(view(x[:1]).shape[1])  # squares: sums of squared deviations
    for start in range(0, len(x), CHUNK_ROWS):
        chunk = view(x[start : start + CHUNK_ROWS]).astype(np.float64)  # (n, F)
        present: Any = len(chunk)
        chunk_mean = chunk.mean(axis=0)
        if np.isnan(chunk_mean).any():
            present = np.count_nonzero(~np.isnan(chunk), axis=0)  # (F,)
            chunk_mean = np.nansum(chunk, axis=0) / np.maximum(present, 1)
        chunk -= chunk_mean
        if np.ndim(present):
            chunk[np.isnan(chunk)] = 0
        share = present / np.maximum(rows + present, 1)
        step = chunk_mean - mean
        squares = squares + (np.einsum("nf,nf->f", chunk, chunk) + step**2 * (rows * share))
        mean = mean + step * share
        rows = rows + present
    return mean, squares / np.maximum(rows, 1)


def find_constant(mean: Floats, variance: Floats, rows: int) -> npt.NDArray[np.bool_]:
    """Return which columns, (F,), vary no more than rounding alone would make them.

    Source: the bound of `sklearn.preprocessing._data._is_constant_feature`; in addition, a scale that float32 would
    round to 0 counts as constant.
    """
    eps = float(np.finfo(np.float64).eps)
    bound = rows * eps * variance + (rows * mean * eps) ** 2
    return (variance <= bound) | (np.sqrt(variance) < np.finfo(np.float32).tiny)
