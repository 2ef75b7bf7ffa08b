"""The members of `auto`: which learners are tried on a table, in which order, with which settings."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.default_recipe import network_settings
from training.config.recipe import TrainingSettings
from training.data.dataset import Dataset
from training.learners.auto.bagging import Bagged
from training.learners.linear import LinearLearner
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import FoldLearner


@dataclass(frozen=True)
class Candidate:
    """A learner that may become a member; `name` is for people."""

    name: str
    learner: FoldLearner


def candidates_for(train: Dataset, settings: TrainingSettings) -> tuple[Candidate, ...]:
    """Return the learners to try on these rows, the quickest to train first.

    Args:
        train: the rows.
        settings: the settings of `auto`; the members have its seed.
    """
    network = network_settings(len(train)).model_copy(update={"seed": settings.seed})
    return (
        Candidate("linear", LinearLearner(TrainingSettings(learner="linear", seed=settings.seed))),
        Candidate("mlp", Bagged(MLPLearner(network))),
    )
