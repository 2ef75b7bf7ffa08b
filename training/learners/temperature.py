"""The temperature: the divisor of a classifier's logits that makes its probabilities true.

It must not know learners. N is rows and K classes everywhere; logits are logarithms of probabilities, which differ from
a network's own by a constant a row.

Source: Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.data.dataset import evenly_spread
from training.data.repeats import Marks
from training.evaluation.intervals import standard_error
from training.evaluation.metrics import Floats, Ints, row_losses

COLDEST, HOTTEST = 0.25, 20.0
LEAST_ROWS, MOST_ROWS = 30, 20_000
FOLDS = 5
ERRORS = 2.0
HALVINGS = 40

Logits = npt.NDArray[np.float64]


class Calibrated(nn.Module):
    """A classifier with its logits shifted by class and divided by a temperature.

    Attributes:
        shift: (K,) float32, logarithm of the factor by which each class's probability is corrected.
        temperature: (1,) float32.
    """

    shift: Tensor
    temperature: Tensor

    def __init__(self, model: nn.Module, shift: npt.NDArray[np.floating], temperature: float) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32))
        self.register_buffer("temperature", torch.tensor([temperature], dtype=torch.float32))

    def forward(self, features: Tensor) -> Tensor:
        """Return probabilities, float32 (N, K), rows summing to 1, from cells, float32 (N, W)."""
        logits = torch.log(self.model(features)) + self.shift
        return torch.softmax(logits / self.temperature, dim=1)  # (N, K)


class Temperature(NamedTuple):
    """A temperature and what it is worth.

    Attributes:
        divisor: of the logits; above 1 the probabilities were too sure.
        gain: by how much the log loss of a held-out row falls on average, in nats, if the others choose the divisor.
        standard_error: standard error of the gain.
    """

    divisor: float
    gain: float
    standard_error: float

    @property
    def helps(self) -> bool:
        """Return whether the gain is more than chance."""
        return self.gain > ERRORS * self.standard_error


def fit_temperature(logits: Logits, y: Ints, seed: int, groups: Marks | None = None) -> Temperature | None:
    """Return the temperature with the lowest log loss, and what it gains on rows that did not choose it.

    At most 20,000 evenly spread rows are used; with fewer than 30, there is none.

    Args:
        logits: of held-out rows, (N, K).
        y: true classes, (N,).
        seed: seed of the folds.
        groups: marks of groups, (N,), whose rows choose together, if there are two groups; by default each on its own.
    """
    if len(y) < LEAST_ROWS:
        return None
    some = evenly_spread(len(y), MOST_ROWS)
    logits, y = logits[some], y[some]
    group = None if groups is None else np.unique(groups[some], return_inverse=True)[1]  # (N,)
    if group is None or not group.any():
        group = np.arange(len(y))
    fold = (np.random.default_rng(seed).permutation(group.max() + 1) % FOLDS)[group]  # (N,)
    gains = np.empty(len(y))
    for number in np.unique(fold):
        held, rest = fold == number, fold != number
        divisor = _find_divisor(logits[rest], y[rest])
        gains[held] = _losses(logits[held], y[held]) - _losses(logits[held] / divisor, y[held])
    return Temperature(_find_divisor(logits, y), float(gains.mean()), standard_error(gains, group))


def _find_divisor(logits: Logits, y: Ints) -> float:
    """Return the divisor with the lowest log loss, from 1/4 to 20, by halving: the loss is convex in its inverse.

    The truths are smoothed as if one more row had all classes alike: without it, a model that is right about every
    row would be made as sure as can be.
    """
    rows, classes = logits.shape
    truth = np.full(logits.shape, 1 / (classes * (rows + 1)))
    truth[np.arange(rows), y] += rows / (rows + 1)
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        slope = ((to_probabilities(middle * logits) - truth) * logits).sum()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 2 / (low + high)


def to_logits(probabilities: Floats) -> Logits:
    """Return the logarithms of probabilities, (N, K); those of 0 are the least that float32 has."""
    logits: Logits = np.log(probabilities.astype(np.float64).clip(min=float(np.finfo(np.float32).tiny)))
    return logits


def to_probabilities(logits: Logits) -> Logits:
    """Return the softmax of logits, (N, K)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Logits = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _losses(logits: Logits, y: Ints) -> npt.NDArray[np.float64]:
    return row_losses(to_probabilities(logits), y)
