"""Choose the learner that the settings name.

Each learner has a module or a folder of its own beside this one.
"""

from __future__ import annotations

from functools import partial

from training.config.learner_settings import TrainingSettings
from training.data.holdout import HoldOut
from training.learners.auto.fit import AutoLearner
from training.learners.budget import ShouldEnd, TimeLimit, never
from training.learners.cnn.fit import CNNLearner
from training.learners.linear import LinearLearner
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Learner
from training.learners.realmlp.fit import RealMLPLearner
from training.learners.trees.boosting import TreesLearner


def learner_for(settings: TrainingSettings, way: HoldOut | None = None, should_end: ShouldEnd = never) -> Learner:
    """Return the learner that these settings name, unfitted.

    It draws the rows that it holds out, unless `way` is another. When it `should_end`, one with members or epochs ends
    with what it has by then.
    """
    match settings.learner:
        case "auto":
            return AutoLearner(settings, way, should_end=should_end)
        case "linear":
            return LinearLearner(settings, way)
        case "cnn":
            return CNNLearner(settings, should_end)
        case "mlp":
            return MLPLearner(settings, should_end=should_end)
        case "realmlp":
            return RealMLPLearner(settings, way, partial(TimeLimit, should_end=should_end))
        case "trees":
            return TreesLearner(settings, way)
