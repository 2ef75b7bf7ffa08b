"""Rows as tensors for several networks, and their answers for rows that they have not seen.

It must not know training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data.dataset import Dataset
from training.evaluation.metrics import Floats, Ints
from training.learners.realmlp.inputs import Inputs
from training.learners.realmlp.network import Networks
from training.preprocessing.scaler import StandardScaler

CHUNK_ROWS = 4_096
SEEN_ROWS = 1_024  # of each network at a time
LEAST_PROBABILITY = 1e-12
SOFTEST, SHARPEST = 0.05, 3.0  # inverse temperatures that are tried
ROUNDS = 14  # of golden sections, each 0.62 times as long as the last: to half a percent


class Rows(NamedTuple):
    """Rows that networks learn from or are measured on.

    Attributes:
        dense: numbers, float32 (N, D).
        codes: codes of categories, int32 (N, T).
        y: class indices, int64 (N,), or standardised values, float32 (N,).
    """

    dense: Tensor
    codes: Tensor
    y: Tensor

    def take(self, index: Tensor) -> Rows:
        """Return the rows at these positions, (M, n)."""
        return Rows(self.dense[index], self.codes[index], self.y[index])


def prepare(inputs: Inputs, rows: Dataset, target: StandardScaler | None) -> Rows:
    """Return rows as tensors; `target` standardises the values of a regression."""
    dense = torch.empty(len(rows), inputs.width)
    codes = torch.empty(len(rows), len(inputs.texts), dtype=torch.int32)
    with torch.inference_mode():
        for start in range(0, len(rows), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            dense[part], codes[part] = inputs(torch.from_numpy(rows.x[part]))
    if target is None:
        return Rows(dense, codes, torch.from_numpy(rows.y))
    return Rows(dense, codes, torch.from_numpy((rows.y - float(target.mean)) / float(target.scale)).float())


class HeldOutRows:
    """Answers for held-out rows, each the mean of the networks that have not seen the row, and the best of all epochs.

    Logits are multiplied by the inverse temperature that gives the lowest loss, kept near 1 by a prior, before epochs
    are compared: a network that tells classes apart better but is too sure of itself is better, since that is mended by
    one number.

    Args:
        networks: M networks.
        rows: the rows.
        folds: positions of the rows that each network has not seen; a row may be in several.
        limits: lowest and highest standardised value of a regression; None with classes.

    Attributes:
        sharpness: inverse temperature of the last measurement; 1 of a regression.
        best: answers with the lowest loss so far, float64 (N, K); those of rows that are in no fold are 0.
        best_loss: that loss.

    Source: E. Berta, D. Holzmueller, M. Jordan, F. Bach, "Rethinking Early Stopping: Refine, Then Calibrate", 2025,
    arXiv 2501.19195.
    """

    def __init__(
        self, networks: Networks, rows: Rows, folds: Sequence[Ints], limits: tuple[float, float] | None
    ) -> None:
        self._networks, self._rows, self._limits = networks, rows, limits
        longest = max(map(len, folds))
        # shorter folds are filled up with their own rows, which count for nothing
        self._index = torch.from_numpy(np.stack([np.resize(fold, longest) for fold in folds]))  # (M, n)
        counts = torch.from_numpy(np.stack([np.arange(longest) < len(fold) for fold in folds])).to(torch.float64)
        times = torch.zeros(len(rows.y), dtype=torch.float64).index_add_(0, self._index.flatten(), counts.flatten())
        self._shares, self._seen = counts / times[self._index], torch.nonzero(times)[:, 0]
        self.sharpness = 1.0
        self.best: Floats = np.zeros((len(rows.y), 1))
        self.best_loss = math.inf

    @torch.inference_mode()
    def measure(self) -> float:
        """Return the mean loss of the answers, nats or squared standardised error; keep the answers of the lowest."""
        outputs = self._outputs()  # (M, n, K)
        if self._limits is None:
            self.sharpness = find_minimum(lambda sharpness: self._penalised_loss(outputs, sharpness), SOFTEST, SHARPEST)
            loss = self._log_loss(outputs, self.sharpness)
            answers = (outputs * self.sharpness).softmax(dim=2)
        else:
            answers = outputs.clamp(*self._limits)
            loss = float((self._mean(answers)[:, 0] - self._rows.y)[self._seen].square().mean())
        if loss <= self.best_loss:
            self.best, self.best_loss = self._mean(answers).numpy(), loss
        return loss

    def _outputs(self) -> Tensor:
        """Return what the networks answer for their held-out rows, float64 (M, n, K)."""
        chunks = [self._rows.take(index) for index in torch.split(self._index, SEEN_ROWS, dim=1)]
        return torch.cat([self._networks(rows.dense, rows.codes) for rows in chunks], dim=1).to(torch.float64)

    def _log_loss(self, outputs: Tensor, sharpness: float) -> float:
        truths = self._rows.y[self._index][:, :, None]
        right = (outputs * sharpness).log_softmax(dim=2).gather(2, truths).exp()  # (M, n, 1)
        return -float(self._mean(right)[self._seen].clamp(min=LEAST_PROBABILITY).log().mean())

    def _penalised_loss(self, outputs: Tensor, sharpness: float) -> float:
        """Return the log loss and a prior for 1, as few rows that are all answered rightly would ask for infinity."""
        return self._log_loss(outputs, sharpness) + math.log(sharpness) ** 2 / len(self._seen)

    def _mean(self, answers: Tensor) -> Tensor:
        """Return the mean for each row, (N, K), of answers (M, n, K)."""
        total = torch.zeros(len(self._rows.y), answers.shape[2], dtype=torch.float64)
        return total.index_add_(0, self._index.flatten(), (answers * self._shares[:, :, None]).flatten(0, 1))


def find_minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one minimum between two positive numbers is lowest, by golden sections.

    Source: J. Kiefer, "Sequential Minimax Search for a Maximum", Proc. AMS 4, 1953.
    """
    golden = (math.sqrt(5) - 1) / 2
    left, right = math.log(low), math.log(high)
    inner = [right - golden * (right - left), left + golden * (right - left)]
    values = [function(math.exp(place)) for place in inner]
    for _ in range(ROUNDS):
        if values[0] <= values[1]:
            right, inner = inner[1], [inner[1] - golden * (inner[1] - left), inner[0]]
            values = [function(math.exp(inner[0])), values[0]]
        else:
            left, inner = inner[0], [inner[1], inner[0] + golden * (right - inner[0])]
            values = [values[1], function(math.exp(inner[1]))]
    return math.exp((left + right) / 2)
