"""The members of `auto`: which learners are tried on a table, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

from training.config.default_recipe import network_settings
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.auto.networks import NetworksLearner
from training.learners.budget import TimeLimit, default_budget_s
from training.learners.linear import LinearLearner
from training.learners.protocol import FoldLearner
from training.learners.realmlp.fit import RealMLPLearner
from training.learners.trees.boosting import TreesLearner
from training.learners.trees.extra import ExtraTreesLearner

SMALL_ROWS = 3_000  # up to so many rows, the plain network is tried: it is cheap, and sometimes the best
NETWORK_SHARE, TREES_SHARE, EXTRA_SHARE = 0.45, 0.2, 0.15  # of the budget; the rest is for what needs no bound
LEAST_S, ROW_S = 4.0, 4e-3  # RealMLP needs no more: so a table of 1,000 rows is done in 20 s


@dataclass(frozen=True)
class ProposedMember:
    """A learner that may become a member; `name` is for people."""

    name: str
    learner: FoldLearner


def propose_members(train: Dataset, settings: TrainingSettings, time_limit: TimeLimit) -> tuple[ProposedMember, ...]:
    """Return the learners to try on these rows, the quickest to train first.

    Args:
        train: the rows.
        settings: the settings of `auto`; the members have its seed and shares of its budget.
        time_limit: of all members together.
    """
    rows, seed = len(train), settings.seed
    budget_s = settings.budget_s or default_budget_s(rows)
    network_s = max(1.0, min(NETWORK_SHARE * budget_s, LEAST_S + ROW_S * rows))
    network = network_settings(rows).model_copy(update={"seed": seed})
    trees = TrainingSettings(learner="trees", budget_s=max(1.0, TREES_SHARE * budget_s), seed=seed)
    extra = trees.model_copy(update={"budget_s": max(1.0, EXTRA_SHARE * budget_s)})
    realmlp = TrainingSettings(learner="realmlp", budget_s=network_s, seed=seed)
    plain = (ProposedMember("mlp", NetworksLearner(network)),) if rows <= SMALL_ROWS else ()
    return (
        ProposedMember("linear", LinearLearner(TrainingSettings(learner="linear", seed=seed))),
        ProposedMember("trees", TreesLearner(trees)),
        ProposedMember("extra trees", ExtraTreesLearner(extra)),
        *plain,
        ProposedMember("realmlp", RealMLPLearner(realmlp, time_limit=lambda _seconds: time_limit)),
    )
