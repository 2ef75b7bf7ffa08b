"""The learner protocol: the interface of everything that fits a model.

It must not know any learner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from modelstore import EpochMetrics, Notice
from training.data.dataset import Dataset
from training.data.repeats import Marks
from training.errors import TrainingError

FAILURES = (TrainingError, ArithmeticError, ValueError, RuntimeError, MemoryError)  # of learners and their libraries
CHUNK_ROWS = 8_192  # five networks of 256 units take 42 MB for the activations of a layer
CHUNK_CELLS = 1 << 20  # the activations of a network for images are some hundred times as large

Predict = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.float32]]
"""Function from cells, float32 or float64 (N, W), to float32: class probabilities (N, K), or values (N, 1)."""

Event = EpochMetrics | Notice

ProbedFigure = Literal["test_accuracy", "test_rmse"]

Report = Callable[[Event], None]
"""Function that receives the events of a training as they happen; an exception that it raises ends the training."""


class Probe(NamedTuple):
    """Measures the model every `epochs` epochs, for reports only; `figure` is the field of `EpochMetrics`."""

    epochs: int
    figure: ProbedFigure
    measure: Callable[[Predict], float]


class HeldOut(NamedTuple):
    """Answers for training rows by models that were not fitted to them.

    Attributes:
        answers: class probabilities, (n, K), or values, (n, 1).
        y: the truths, (n,), class indices or values.
        groups: marks of the rows' groups, (n,); None if no groups are held out.
    """

    answers: npt.NDArray[np.floating[Any]]
    y: npt.NDArray[Any]
    groups: Marks | None = None

    @classmethod
    def at(
        cls, answers: npt.NDArray[np.floating[Any]], rows: Dataset, places: npt.NDArray[np.int64] | slice = slice(None)
    ) -> Self:
        """Return answers for the rows at these places, by default all, with their truths and groups."""
        return cls(answers, rows.y[places], None if rows.groups is None else rows.groups[places])


@dataclass(frozen=True)
class Member:
    """A model that a learner has tried as a part of its own.

    Attributes:
        name: name of its learner.
        module: as `Fitted.module`.
        weight: its share of the answer, 0 to 1.
        train_s: seconds that its training took.
    """

    name: str
    module: nn.Module
    weight: float
    train_s: float


@dataclass(frozen=True)
class Fitted:
    """The result of a learner.

    Attributes:
        module: one function from cells, float32 (N, W), to predictions, float32 (N, K) or (N, 1), which
            `torch.jit.script` accepts; in evaluation mode.
        history: metrics of the epochs, first to last; empty for a learner without epochs.
        held_out: answers by models of the same settings for rows that these were not fitted to, from
            cross-validation; None if the learner has none, where the validation rows are those.
        members: the models that were tried as parts of this one, also those of weight 0; empty if it has no parts.
        temperature: divisor of the logits inside the module, if it has one.
        stopped: whether it was ended early, by a request or the clock; the same seed may then give another module.
    """

    module: nn.Module
    history: tuple[EpochMetrics, ...] = ()
    held_out: HeldOut | None = None
    members: tuple[Member, ...] = ()
    temperature: float | None = None
    stopped: bool = False


class Learner(Protocol):
    """Fits a model to rows. It is constructed with its settings, including the seed; same seed and rows: same bits."""

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit a model to the training rows and return it.

        Args:
            train: raw rows with their targets; everything learnt, including the scaling, comes from these rows only.
            validation: rows for early stopping.
            report: receives the events, in a long training one every few seconds.
            probe: additional report of a learner with epochs.

        Raises:
            Diverged: if a loss is not finite or beyond all bounds.
        """


class FoldLearner(Learner, Protocol):
    """A learner that can also fit one model for each fold, averaged in one module."""

    def fit_folds(self, train: Dataset, folds: Sequence[npt.NDArray[np.int64]], report: Report) -> Fitted:
        """Fit models without the rows of each fold, and return them as one module.

        Args:
            train: raw rows with their targets, N.
            folds: positions of the held-out rows of each fold; every row is in exactly one.
            report: receives the events.

        Returns:
            The module, and in `held_out` an answer for each of the N rows, in their order, by a model that was not
            fitted to it.

        Raises:
            Diverged: if a loss is not finite or beyond all bounds.
        """


def predictor(module: nn.Module) -> Predict:
    """Return the module as a NumPy function; long inputs are processed in chunks, so memory is bounded."""
    module.eval()

    def predict(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Return the outputs (N, K) for cells (N, W)."""
        rows = max(1, min(CHUNK_ROWS, CHUNK_CELLS // x.shape[1]))
        with torch.inference_mode():
            chunks = [
                module(torch.from_numpy(np.asarray(x[start : start + rows], dtype=np.float32)))
                for start in range(0, max(1, len(x)), rows)
            ]
            predictions: npt.NDArray[np.float32] = torch.cat(chunks).numpy()  # (N, K)
        return predictions

    return predict
