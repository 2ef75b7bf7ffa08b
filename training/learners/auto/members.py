"""The members of `auto`: which learners are tried on a table, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.default_recipe import network_settings
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.auto.networks import NetworksLearner
from training.learners.budget import default_budget_s
from training.learners.linear import LinearLearner
from training.learners.protocol import FoldLearner
from training.learners.realmlp.fit import RealMLPLearner
from training.learners.trees.boosting import TreesLearner
from training.learners.trees.extra import ExtraTreesLearner

SMALL_ROWS = 3_000  # up to so many rows, the plain network is tried: it is cheap, and sometimes the best
NETWORK_SHARE = 0.6  # of the budget, of RealMLP; the others take what their trees and iterations take
LEAST_S, ROW_S = 4.0, 4e-3  # RealMLP needs no more: so a table of 1,000 rows is done in 20 s


@dataclass(frozen=True)
class Candidate:
    """A learner that may become a member; `name` is for people."""

    name: str
    learner: FoldLearner


def candidates_for(train: Dataset, settings: TrainingSettings) -> tuple[Candidate, ...]:
    """Return the learners to try on these rows, the quickest to train first.

    Args:
        train: the rows.
        settings: the settings of `auto`; the members have its seed and shares of its budget.
    """
    rows, seed = len(train), settings.seed
    share_s = NETWORK_SHARE * (settings.budget_s or default_budget_s(rows))
    network_s = max(1.0, min(share_s, LEAST_S + ROW_S * rows))
    network = network_settings(rows).model_copy(update={"seed": seed})
    trees = TrainingSettings(learner="trees", seed=seed)
    plain = (Candidate("mlp", NetworksLearner(network)),) if rows <= SMALL_ROWS else ()
    return (
        Candidate("linear", LinearLearner(TrainingSettings(learner="linear", seed=seed))),
        Candidate("trees", TreesLearner(trees)),
        Candidate("extra trees", ExtraTreesLearner(trees)),
        *plain,
        Candidate("realmlp", RealMLPLearner(TrainingSettings(learner="realmlp", budget_s=network_s, seed=seed))),
    )
