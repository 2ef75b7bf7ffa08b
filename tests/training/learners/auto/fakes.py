"""Learners whose answers can be worked out by hand."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.auto.blend import Blend
from training.learners.auto.networks import NetworksLearner
from training.learners.folds import folds_of
from training.learners.linear import LinearLearner
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.learners.temperature import Calibrated
from training.learners.trees.boosting import TreesLearner


class Off(nn.Module):
    """Answers of `slope` without its noise, 1000 + 20 * x0 - 10 * x1, and an error that is always the same."""

    slopes: Tensor

    def __init__(self, error: float) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor([[20.0], [-10.0]]))
        self.start = 1000.0 + error

    def forward(self, x: Tensor) -> Tensor:
        """Return values (N, 1)."""
        return torch.matmul(x, self.slopes) + self.start


class OffLearner:
    """Learns nothing: its model is `Off`; `before` is called first."""

    def __init__(self, error: float, before: Callable[[Report], None] = lambda report: None) -> None:
        self._error, self._before = error, before

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Return the model."""
        self._before(report)
        return Fitted(Off(self._error))

    def fit_folds(self, train: Dataset, folds: Sequence[npt.NDArray[np.int64]], report: Report) -> Fitted:
        """Return the model, and its answers as those for unseen rows."""
        module = self.fit(train, None, report).module
        return Fitted(module, held_out=HeldOut(predictor(module)(train.x), train.y))


class BlendLearner:
    """Blends a linear model with a temperature, networks of two folds and trees, whatever their answers are worth."""

    def __init__(self, settings: TrainingSettings) -> None:
        self._seed = settings.seed

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Return the blend."""
        network = NetworksLearner(TrainingSettings(hidden=(8,), epochs=30, lr=0.03, seed=self._seed))
        linear = LinearLearner(TrainingSettings(learner="linear"))
        members = [
            Calibrated(linear.fit(train, None, report).module, np.zeros(len(train.classes)), 1.25),
            network.fit_folds(train, folds_of(train, self._seed, 2), report).module,
            TreesLearner(TrainingSettings(learner="trees")).fit(train, None, report).module,
        ]
        return Fitted(Blend(members, [0.2, 0.3, 0.5]).eval())


def fail(_report: Report) -> None:
    """Fail as scikit-learn does."""
    raise ValueError("too many classes")
