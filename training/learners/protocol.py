"""What every learner takes and returns.

It must not know any learner.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from modelstore import EpochMetrics, Notice
from training.data.splits import Dataset

CHUNK_ROWS = 65_536

Event = TypeVar("Event")
Result = TypeVar("Result")

Predict = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.float32]]
"""Raw features, float32 or float64 (N, F), to predictions, float32 (N, K): for classes their probabilities."""


class Probe(NamedTuple):
    """What measures the model every so many epochs; it decides nothing."""

    epochs: int
    accuracy: Callable[[Predict], float]


@dataclass(frozen=True)
class Fitted:
    """What a learner returns.

    Attributes:
        module: raw features, float32 (N, F), to predictions, float32 (N, K), as one function that `torch.jit.script`
            takes; in evaluation mode.
        history: its epochs, first to last; a learner without epochs has none.
    """

    module: nn.Module
    history: tuple[EpochMetrics, ...]


class Learner(Protocol):
    """Learns from a table. It is made with its settings, the seed among them; same seed, same rows: same bits."""

    def fit(
        self, train: Dataset, validation: Dataset | None, probe: Probe | None = None
    ) -> Generator[EpochMetrics | Notice, None, Fitted]:
        """Learn from the training rows, yield what happens, and return the model.

        A long training yields every few seconds. An exception that is raised meanwhile, `Cancelled` or that of
        closing the generator, ends it.

        Args:
            train: raw rows with their targets; whatever is learnt, scaling included, is learnt from these rows only.
            validation: rows to stop early by.
            probe: what a learner with epochs reports besides.

        Raises:
            Diverged: if a loss is not finite or beyond all bounds.
        """
        ...


class WithResult(Generic[Event, Result]):
    """Iterates over a generator and keeps what it returns as `result`."""

    result: Result

    def __init__(self, events: Generator[Event, None, Result]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[Event]:
        self.result = yield from self._events


def predictor(module: nn.Module) -> Predict:
    """Return the module as a NumPy function; long inputs go through in chunks, so memory stays bounded."""
    module.eval()

    def predict(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            chunks = [
                module(torch.from_numpy(np.asarray(x[start : start + CHUNK_ROWS], dtype=np.float32)))
                for start in range(0, max(1, len(x)), CHUNK_ROWS)
            ]
            predictions: npt.NDArray[np.float32] = torch.cat(chunks).numpy()  # (N, K)
        return predictions

    return predict
