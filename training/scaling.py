"""Standardisation as a torch module, so that it travels inside the model; it must not know where the rows come from."""

# no `from __future__ import annotations` here: TorchScript reads the annotations of module attributes
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


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


def fit_scaler(x: npt.NDArray[np.float64]) -> StandardScaler:
    """Learn mean and scale of each feature from the rows that the network trains on.

    Args:
        x: raw features, float64, shape (N, F), finite; N >= 1.

    Returns:
        Scaler with float32 buffers of shape (F,), rounded from float64 statistics. Constant columns get scale 1.

    Source: two-pass variance, Chan, Golub & LeVeque, Am. Stat. 37(3), 1983; ddof = 0, as scikit-learn.
    """
    mean, variance = _moments(x)
    scale = np.where(_is_constant(mean, variance, len(x)), 1.0, np.sqrt(variance))
    return StandardScaler(torch.from_numpy(mean).float(), torch.from_numpy(scale).float())


def constant_columns(x: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Tell which columns of raw features (N, F) are constant, but for rounding; shape (F,)."""
    return _is_constant(*_moments(x), len(x))


def _moments(x: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    mean = x.mean(axis=0)  # (F,)
    return mean, x.var(axis=0, mean=mean[None])  # (F,), (F,)


def _is_constant(mean: npt.NDArray[np.float64], variance: npt.NDArray[np.float64], rows: int) -> npt.NDArray[np.bool_]:
    """Compare the variance with what rounding alone can give.

    Source: the bound of `sklearn.preprocessing._data._is_constant_feature`; besides, a scale that float32 would
    round to 0 counts as constant.
    """
    eps = float(np.finfo(np.float64).eps)
    bound = rows * eps * variance + (rows * mean * eps) ** 2
    return (variance <= bound) | (np.sqrt(variance) < np.finfo(np.float32).tiny)
