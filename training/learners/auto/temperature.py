"""Fit the temperature of a classifier on answers for rows that it has not seen.

It must not know learners.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from training.evaluation.metrics import Floats, Ints, row_losses
from training.learners.auto.blend import LEAST, temper

MOST = 8.0  # largest divisor and largest factor of the logits
STEPS = 30


def fit_temperature(answers: Floats, y: Ints) -> tuple[float, Floats]:
    """Return one divided by the temperature of the least log loss, and the answers with it.

    The log loss is convex in the inverse, so bisection of its slope finds the minimum. It is 1, and the answers are
    unchanged, if the loss falls by no more than one standard error.

    Args:
        answers: probabilities, (N, K).
        y: class indices, (N,).
    """
    logits = np.log(answers.astype(np.float64).clip(LEAST, None))  # (N, K)
    true = logits[np.arange(len(y)), y].mean()
    low, high = -math.log(MOST), math.log(MOST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _slope(logits, true, math.exp(middle)) < 0 else (low, middle)
    inverse = math.exp((low + high) / 2)
    tempered = temper(torch.from_numpy(answers.astype(np.float32)), torch.tensor(inverse, dtype=torch.float32)).numpy()
    gains = row_losses(answers, y) - row_losses(tempered, y)  # (N,)
    return (inverse, tempered) if is_beyond_chance(gains) else (1.0, answers)


def is_beyond_chance(gains: Floats) -> bool:
    """Return whether the mean of the rows' gains is above zero by more than its standard error."""
    return bool(len(gains) > 1 and gains.mean() > gains.std(ddof=1) / math.sqrt(len(gains)))


def _slope(logits: Floats, true: float, inverse: float) -> float:
    """Return the derivative of the log loss with respect to the inverse; `true` is the mean logit of the true class."""
    scaled = logits * inverse
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))  # (N, K)
    expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)  # (N,)
    return float(expected.mean() - true)
