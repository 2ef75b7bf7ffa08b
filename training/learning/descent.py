"""One epoch after another of gradient descent on a network; it must not know schedules, validation or what is reported.

The full batch is one step an epoch; otherwise each row is in one shuffled mini-batch. Either way rows go through the
network in chunks, so the memory of a step does not grow with the rows.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from training.learning.backprop import CHUNK_ROWS, Parameters, Pass
from training.learning.optimizers import optimizer_for
from training.nets import MLP
from training.recipe import TrainingSettings
from training.scaling import StandardScaler

REPORT_S = 2.0


@dataclass(frozen=True)
class Rows:
    """What the network sees.

    Attributes:
        x: standardised features and a last column of ones, float32 (N, F + 1).
        y: class indices, int64 (N,).
    """

    x: Tensor
    y: Tensor

    @classmethod
    def standardised(cls, scaler: StandardScaler, x: Tensor, y: Tensor) -> Rows:
        """Return rows from raw features, float32 (N, F), exactly as the published model standardises them."""
        ones = torch.ones(len(x), x.shape[1] + 1)
        torch.sub(x, scaler.mean, out=ones[:, :-1]).div_(scaler.scale)
        return cls(ones, y)

    def __len__(self) -> int:
        return len(self.y)


class _Chunk(NamedTuple):
    """Rows that go through the network together, all or a part of the `step_rows` rows of a step."""

    both_ways: Pass
    x: Tensor  # (n, F + 1)
    y: Tensor  # (1, n)
    share: Tensor  # (n,)
    begins: bool
    ends: bool
    step_rows: int


class Descent:
    """Trains a copy of a network's weights; `parameters.write_back` puts them into it.

    Args:
        net: with its initial weights.
        rows: to train on.
        settings: how; `settings.seed` decides the shuffling, torch's own generator the dropout.

    Attributes:
        rows: N.
    """

    def __init__(self, net: MLP, rows: Rows, settings: TrainingSettings) -> None:
        self.parameters = Parameters(net)
        self.rows = len(rows)
        self._rows = rows
        self._dropout = settings.dropout
        self._batch_rows = settings.batch_size if 0 < settings.batch_size < len(rows) else 0
        self._shuffle = torch.Generator().manual_seed(settings.seed)
        balanced = settings.class_weights == "balanced"
        self._class_weights = class_weights(rows.y, max(2, net.widths[-1])) if balanced else None
        self._optimizer = optimizer_for(self.parameters.values, settings)
        self._passes: dict[tuple[int, float], Pass] = {}
        self._whole = () if self._batch_rows else tuple(self._cut(rows, None))

    def epoch(self, rate: float) -> Generator[int, None, float]:
        """Take the steps of one epoch.

        Args:
            rate: learning rate of each step.

        Yields:
            Every two seconds, how many rows were seen.

        Returns:
            The mean loss over the rows, each as it was seen before its step.
        """
        chunks = self._batches() if self._batch_rows else iter(self._whole)
        total, seen = torch.zeros((), dtype=torch.float64), 0
        while (seen := seen + self._some(chunks, total, rate)) < self.rows:
            yield seen
        return float(total) / self.rows

    @torch.inference_mode()
    def loss(self, rows: Rows) -> float:
        """Return the mean loss of other rows, without dropout."""
        total = torch.zeros((), dtype=torch.float64)
        for chunk in self._cut(rows, None, dropout=0.0):
            total += chunk.both_ways.loss(chunk.x, chunk.y, chunk.share)
        return float(total)

    def gradient_norm(self) -> float:
        """Return the Euclidean norm of the last step's gradient."""
        return float(torch.linalg.vector_norm(self.parameters.gradient))

    @torch.inference_mode()
    def _some(self, chunks: Iterator[_Chunk], total: Tensor, rate: float) -> int:
        """Take as many chunks as fit into the time between two reports, and return how many rows they have."""
        due_s, seen = time.perf_counter() + REPORT_S, 0
        for chunk in chunks:
            if chunk.begins:
                self.parameters.gradient.zero_()
            loss = chunk.both_ways.loss(chunk.x, chunk.y, chunk.share)
            chunk.both_ways.add_gradient(chunk.x, chunk.y, chunk.share)
            total.add_(loss, alpha=chunk.step_rows)
            if chunk.ends:
                self._optimizer.step(self.parameters.gradient, rate)
            seen += chunk.x.shape[0]
            if time.perf_counter() > due_s:
                break
        return seen

    def _batches(self) -> Iterator[_Chunk]:
        """Yield the rows of one epoch, each in one shuffled mini-batch."""
        for index in torch.split(torch.randperm(self.rows, generator=self._shuffle), self._batch_rows):
            yield from self._cut(self._rows, index)

    def _cut(self, rows: Rows, index: Tensor | None, dropout: float | None = None) -> Iterator[_Chunk]:
        """Yield the rows of one step: those at these positions, or all."""
        y = rows.y if index is None else rows.y.index_select(0, index)
        share, step_rows = self._share(y), y.shape[0]
        for start in range(0, step_rows, CHUNK_ROWS):
            part = slice(start, min(start + CHUNK_ROWS, step_rows))
            x = rows.x[part] if index is None else rows.x.index_select(0, index[part])
            both_ways = self._pass(part.stop - start, self._dropout if dropout is None else dropout)
            yield _Chunk(both_ways, x, y[None, part], share[part], start == 0, part.stop == step_rows, step_rows)

    def _share(self, y: Tensor) -> Tensor:
        """Return the weight of each row in the mean loss of these rows, (n,), summing to 1."""
        if self._class_weights is None:
            return torch.full(y.shape, 1 / y.shape[0])
        weights = self._class_weights[y]
        return weights / weights.sum()

    def _pass(self, rows: int, dropout: float) -> Pass:
        """Return the buffers for chunks of this size; there are few sizes, and each is used again."""
        key = (rows, dropout)
        if key not in self._passes:
            self._passes[key] = Pass(self.parameters, rows, dropout)
        return self._passes[key]


def class_weights(y: Tensor, classes: int) -> Tensor:
    """Return the inverse frequency of each class, shape (K,), 1 for a class of average size."""
    return len(y) / (classes * torch.bincount(y, minlength=classes).clamp(min=1))
