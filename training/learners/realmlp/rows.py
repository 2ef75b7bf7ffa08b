"""Rows as tensors for several networks, and their answers for rows that they have not seen.

It must not know training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
LEAST_PROBABILITY = 1e-7


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

    Args:
        networks: M networks.
        rows: the rows.
        folds: positions of the rows that each network has not seen; a row may be in several.
        limits: lowest and highest standardised value of a regression; None with classes.

    Attributes:
        best: answers with the lowest loss so far, float64 (N, K); those of rows that are in no fold are 0.
        best_loss: that loss.
    """

    def __init__(
        self, networks: Networks, rows: Rows, folds: Sequence[Ints], limits: tuple[float, float] | None
    ) -> None:
        self._networks, self._rows, self._limits = networks, rows, limits
        longest = max(map(len, folds))
        # shorter folds are filled up with their own rows, which count for nothing
        self._index = torch.from_numpy(np.stack([np.resize(fold, longest) for fold in folds]))  # (M, n)
        self._counts = torch.from_numpy(np.stack([np.arange(longest) < len(fold) for fold in folds]))
        times = torch.zeros(len(rows.y), dtype=torch.float64)
        times.index_add_(0, self._index.flatten(), self._counts.flatten().to(torch.float64))
        self._seen, self._times = torch.nonzero(times)[:, 0], times.clamp(min=1)[:, None]
        self.best: Floats = np.zeros((len(rows.y), 1))
        self.best_loss = math.inf

    def measure(self) -> float:
        """Return the mean loss of the answers, nats or squared standardised error; keep the answers of the lowest."""
        answers = self._answer()
        y = self._rows.y[self._seen]
        if self._limits is None:
            losses = -answers[self._seen, y].clamp(min=LEAST_PROBABILITY).log()
        else:
            losses = (answers[self._seen, 0] - y).square()
        loss = float(losses.mean())
        if loss <= self.best_loss:
            self.best, self.best_loss = answers.numpy(), loss
        return loss

    @torch.inference_mode()
    def _answer(self) -> Tensor:
        outputs = self._networks.output.bias.shape[2]
        total = torch.zeros(len(self._rows.y), outputs, dtype=torch.float64)
        for start in range(0, self._index.shape[1], SEEN_ROWS):
            some = slice(start, start + SEEN_ROWS)
            index, counts = self._index[:, some], self._counts[:, some]
            rows = self._rows.take(index)
            answers = self._networks(rows.dense, rows.codes).to(torch.float64)  # (M, n, K)
            answers = answers.softmax(dim=2) if self._limits is None else answers.clamp(*self._limits)
            total.index_add_(0, index.flatten(), (answers * counts[:, :, None]).flatten(0, 1))
        return total / self._times
