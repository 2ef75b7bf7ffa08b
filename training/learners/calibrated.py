"""Calibrate a learner's probabilities: undo class weights, divide the logits.

It must not know any learner. N is rows and K classes everywhere; logits are logarithms of probabilities, which differ
from a network's own by a constant a row.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from modelstore import Notice
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import HoldOut
from training.evaluation.metrics import Floats, Ints, row_losses
from training.learners.choice import learner_for
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor

COLDEST, HOTTEST = 0.25, 20.0
LEAST_ROWS, MOST_ROWS = 30, 20_000
FOLDS = 5
ERRORS = 2.0
HALVINGS = 40

UNDONE = (
    "class weights are undone in the probabilities, which are true frequencies; to answer rare classes more often, set "
    "a decision, such as maximise = balanced_accuracy"
)

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


def fit_calibrated(
    settings: TrainingSettings,
    train: Dataset,
    validation: Dataset | None,
    report: Report,
    probe: Probe | None = None,
    *,
    way: HoldOut | None = None,
) -> Fitted:
    """Fit the learner that the settings name, and calibrate a classifier; see `Learner.fit`.

    The result's `held_out` are the calibrated answers to rows that the model has not seen; None if there are none, in
    which case there is no temperature either.
    """
    fitted = learner_for(settings, way).fit(train, validation, report, probe)
    held_out = fitted.held_out
    if held_out is None and validation is not None:
        held_out = HeldOut(predictor(fitted.module)(validation.x), validation.y)
    if not train.classes:
        return replace(fitted, held_out=held_out)
    shift = _undo_weights(train) if settings.class_weights == "balanced" else np.zeros(len(train.classes))
    logits = None if held_out is None else _logits(held_out.answers) + shift
    found = None if logits is None or held_out is None else fit_temperature(logits, held_out.y, settings.seed)
    if shift.any():
        report(Notice(message=UNDONE))
    if found:
        report(Notice(message=_describe(found)))
    divisor = found.divisor if found and found.helps else 1.0
    module = Calibrated(fitted.module, shift, divisor).eval() if divisor != 1 or shift.any() else fitted.module
    if held_out is not None and logits is not None:
        held_out = HeldOut(_softmax(logits / divisor), held_out.y)
    return replace(fitted, module=module, held_out=held_out, temperature=divisor if divisor != 1 else None)


def fit_temperature(logits: Logits, y: Ints, seed: int) -> Temperature | None:
    """Return the temperature with the lowest log loss, and what it gains on rows that did not choose it.

    At most 20,000 evenly spread rows are used; with fewer than 30, there is none.

    Args:
        logits: of held-out rows, (N, K).
        y: true classes, (N,).
        seed: seed of the folds.

    Source: Guo, Pleiss, Sun & Weinberger, On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    if len(y) < LEAST_ROWS:
        return None
    some = np.linspace(0, len(y) - 1, min(len(y), MOST_ROWS)).astype(np.int64)
    logits, y = logits[some], y[some]
    fold = np.random.default_rng(seed).permutation(len(y)) % FOLDS  # (N,)
    gains = np.empty(len(y))
    for number in range(FOLDS):
        held, rest = fold == number, fold != number
        divisor = _best_divisor(logits[rest], y[rest])
        gains[held] = _losses(logits[held], y[held]) - _losses(logits[held] / divisor, y[held])
    error = float(gains.std(ddof=1)) / math.sqrt(len(y))
    return Temperature(_best_divisor(logits, y), float(gains.mean()), error)


def _best_divisor(logits: Logits, y: Ints) -> float:
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
        slope = ((_softmax(middle * logits) - truth) * logits).sum()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return 2 / (low + high)


def _undo_weights(train: Dataset) -> npt.NDArray[np.float64]:
    """Return the logarithm of each class's share of the rows beside an equal share, (K,).

    Rows weighed by the inverse of it make all classes look equally frequent.

    Source: Saerens, Latinne & Decaestecker, Neural Computation 14(1), 2002, equation 2.4.
    """
    counts = np.bincount(train.y, minlength=len(train.classes)).clip(min=1)
    shift: npt.NDArray[np.float64] = np.log(counts * len(train.classes) / len(train))
    return shift


def _logits(probabilities: Floats) -> Logits:
    logits: Logits = np.log(probabilities.astype(np.float64).clip(min=float(np.finfo(np.float32).tiny)))
    return logits


def _softmax(logits: Logits) -> Logits:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Logits = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def _losses(logits: Logits, y: Ints) -> npt.NDArray[np.float64]:
    return row_losses(_softmax(logits), y)


def _describe(found: Temperature) -> str:
    change = f"which changes the log loss of held-out rows by {-found.gain:+.4f} ± {found.standard_error:.4f}"
    if found.helps:
        return f"calibration: logits are divided by {found.divisor:.3g}, {change}"
    return f"calibration: logits are not divided by {found.divisor:.3g}, {change}: no better than chance"
