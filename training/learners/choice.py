"""Choose the learner that the settings name.

Each learner has a module or a folder of its own beside this one.
"""

from __future__ import annotations

from training.config.learner_settings import TrainingSettings
from training.data.holdout import HoldOut
from training.learners.auto.fit import AutoLearner
from training.learners.cnn.fit import CNNLearner
from training.learners.linear import LinearLearner
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Learner
from training.learners.realmlp.fit import RealMLPLearner
from training.learners.trees.boosting import TreesLearner


def learner_for(settings: TrainingSettings, way: HoldOut | None = None) -> Learner:
    """Return the learner that these settings name, unfitted; `way` is how it may hold rows out, by default drawn."""
    match settings.learner:
        case "auto":
            return AutoLearner(settings, way)
        case "linear":
            return LinearLearner(settings)
        case "cnn":
            return CNNLearner(settings)
        case "mlp":
            return MLPLearner(settings)
        case "realmlp":
            return RealMLPLearner(settings, way)
        case "trees":
            return TreesLearner(settings)
