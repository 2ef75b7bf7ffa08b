"""Choose a setting by the rows that stop or judge a model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from modelstore import Notice
from training.evaluation.metrics import Ints
from training.learners.protocol import Report

THOROUGH_ROWS = 5_000  # with at most so many rows, all parts choose; else the first one
REPORT_S = 2.0


class Part(NamedTuple):
    """Positions of the rows that a model is fitted to, and of those that it has not seen."""

    rest: Ints
    held: Ints


class Judged(Protocol):
    """A fitted model with its loss on the held rows, summed."""

    @property
    def loss(self) -> float:
        """Return the sum of the losses."""


S = TypeVar("S")
M = TypeVar("M", bound=Judged)


def parts_of(rows: int, folds: Sequence[Ints]) -> list[Part]:
    """Return one part for each fold; its rest is all other rows."""
    every = np.arange(rows)
    return [Part(np.setdiff1d(every, held, assume_unique=True), held) for held in folds]


def trials_of(parts: Sequence[Part]) -> Sequence[Part]:
    """Return the parts to which every setting is fitted: all of few rows, else the first one."""
    return parts if len(parts[0].rest) + len(parts[0].held) <= THOROUGH_ROWS else parts[:1]


def fit_best(
    name: str, settings: Sequence[S], parts: Sequence[Part], fit: Callable[[S, Part], M], report: Report
) -> tuple[S, list[M]]:
    """Fit a model to each part with the setting of the smallest loss; return that setting and the models.

    Args:
        name: of the learner, for notices.
        settings: what to choose from, at least one.
        parts: at least one.
        fit: fits one model.
        report: receives a notice every two seconds at most.
    """
    trial, last, done = trials_of(parts), time.monotonic(), 0
    wanted = len(settings) * len(trial) + len(parts) - len(trial)

    def fit_one(setting: S, part: Part) -> M:
        """Fit one model, and report how many are done."""
        nonlocal last, done
        model, done = fit(setting, part), done + 1
        if time.monotonic() - last >= REPORT_S:
            last = time.monotonic()
            report(Notice(message=f"{name}: {done} of {wanted} models fitted"))
        return model

    tried = [[fit_one(setting, part) for part in trial] for setting in settings]
    best = int(np.argmin([sum(model.loss for model in models) for models in tried]))
    models = tried[best] + [fit_one(settings[best], part) for part in parts[len(trial) :]]
    return settings[best], models
