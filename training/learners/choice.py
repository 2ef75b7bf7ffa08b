"""Choose the learner that the settings name.

Each learner has a module or a folder of its own beside this one.
"""

from __future__ import annotations

from training.config.recipe import TrainingSettings
from training.learners.cnn.fit import CNNLearner
from training.learners.linear import LinearLearner
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Learner


def learner_for(settings: TrainingSettings) -> Learner:
    """Return the learner that these settings name, unfitted."""
    match settings.learner:
        case "linear":
            return LinearLearner(settings)
        case "cnn":
            return CNNLearner(settings)
        case "mlp":
            return MLPLearner(settings)
