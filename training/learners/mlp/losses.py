"""Compute losses and their gradients without autograd, on preallocated memory.

They must not know layers. K is classes, V outputs of the network, n rows of a chunk.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Loss(Protocol):
    """The loss of the outputs of one chunk.

    Attributes:
        outputs: what the network writes before `answers`, float32 (V, n).
    """

    outputs: Tensor

    def __init__(self, outputs: int, rows: int) -> None: ...

    def answers(self) -> Tensor:
        """Return what the loss compares with the targets, valid until the outputs are written again."""

    def mean(self, answers: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the loss of the answers, weighted by the shares of the rows, float32 (n,)."""

    def gradient(self, y: Tensor, share: Tensor) -> Tensor:
        """Return the gradient of that loss by the outputs, (V, n); it uses the answers up."""


class CrossEntropy:
    """Negative log likelihood of classes; answers are log probabilities (K, n), y class indices, int64 (1, n)."""

    def __init__(self, outputs: int, rows: int) -> None:
        self._logits = torch.zeros(max(2, outputs), rows)  # two classes share one logit; that of class 0 stays 0
        self._log_p, self._error = torch.empty_like(self._logits), torch.empty_like(self._logits)
        self.outputs, self._delta = self._logits[-outputs:], self._error[-outputs:]
        self._likelihood, self._minus_one = torch.empty(1, rows), torch.full((1, rows), -1.0)

    def answers(self) -> Tensor:
        """Return log probabilities (K, n)."""
        return torch.log_softmax(self._logits, 0, out=self._log_p)

    def mean(self, answers: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the negative log likelihood in nats."""
        return torch.dot(torch.gather(answers, 0, y, out=self._likelihood)[0], share).neg_()

    def gradient(self, y: Tensor, share: Tensor) -> Tensor:
        """Return softmax minus one-hot truth."""
        torch.exp(self._log_p, out=self._error).scatter_add_(0, y, self._minus_one).mul_(share)
        return self._delta


class SquaredError:
    """Squared error of standardised values; answers are the outputs themselves (1, n), y values, float32 (1, n)."""

    def __init__(self, outputs: int, rows: int) -> None:
        self.outputs, self._error = torch.zeros(outputs, rows), torch.empty(outputs, rows)

    def answers(self) -> Tensor:
        """Return the values (1, n)."""
        return self.outputs

    def mean(self, answers: Tensor, y: Tensor, share: Tensor) -> Tensor:
        """Return the squared error; 1 is the loss of always answering the mean of the training rows."""
        return torch.dot(torch.sub(answers, y, out=self._error).square_()[0], share)

    def gradient(self, y: Tensor, share: Tensor) -> Tensor:
        """Return twice the error."""
        return torch.sub(self.outputs, y, out=self._error).mul_(share).mul_(2)
