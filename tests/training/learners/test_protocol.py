from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from modelstore import EpochMetrics, Notice
from tests.training.learners.auto.fakes import BlendLearner
from tests.training.samples import clouds, collect, ignore, settings, typed
from training.artifact.torchscript import load, to_torchscript
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.learners.linear import LinearLearner
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import CHUNK_ROWS, Fitted, Learner, Probe, Report, predictor
from training.learners.realmlp.fit import RealMLPLearner
from training.learners.trees.boosting import TreesLearner


class PriorLearner:
    """Learn the share of each class: the least that fits the protocol."""

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Count."""
        report(Notice(message=f"counting {len(train)} rows"))
        shares = torch.from_numpy(train.y).bincount(minlength=len(train.classes)) / len(train)
        linear = nn.Linear(train.x.shape[1], len(shares))
        nn.init.zeros_(linear.weight)
        linear.bias.data.copy_(shares.log())
        return Fitted(nn.Sequential(linear, nn.Softmax(dim=1)).eval(), ())


REALMLP = RealMLPLearner(TrainingSettings(learner="realmlp", budget_s=1))


@pytest.mark.parametrize(
    "learner",
    [PriorLearner(), MLPLearner(settings()), pytest.param(REALMLP, marks=pytest.mark.slow)],
    ids=["prior", "mlp", "realmlp"],
)
def test_whatever_learns_returns_a_module_that_can_be_published(learner: Learner) -> None:
    rows = clouds(60, classes=3)

    events, fitted = collect(lambda report: learner.fit(rows, None, report))

    assert events
    assert tuple(event for event in events if isinstance(event, EpochMetrics)) == fitted.history
    probabilities = load(to_torchscript(fitted.module, rows.x))(rows.x)
    assert probabilities.shape == (60, 3)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(60), abs=1e-6)


def test_long_inputs_go_through_in_chunks_with_the_same_predictions() -> None:
    predict = predictor(nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softmax(dim=1)))
    x = np.linspace(-3, 3, CHUNK_ROWS + 5)[:, None]

    whole = predict(x)

    assert len(whole) == len(x)
    np.testing.assert_allclose(whole[-5:], predict(x[-5:]), atol=1e-6)  # another batch size, another summation order


def test_predicting_switches_dropout_off() -> None:
    predict = predictor(nn.Dropout(0.9))
    x = np.ones((4, 20))

    assert np.array_equal(predict(x), x)


@pytest.mark.slow
@pytest.mark.parametrize(
    "learner",
    [
        MLPLearner,
        *(
            pytest.param(slow, marks=pytest.mark.slow)
            for slow in (LinearLearner, RealMLPLearner, TreesLearner, BlendLearner)
        ),
    ],
)
def test_torch_export_takes_every_module_and_its_answers_agree(learner: Callable[[TrainingSettings], Learner]) -> None:
    rows = typed(100)
    module = learner(TrainingSettings(epochs=5)).fit(rows, typed(50, seed=1), ignore).module

    exported = torch.export.export(
        module, (torch.from_numpy(rows.x[:7]),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
    )

    with torch.inference_mode():
        for some in (rows.x, rows.x[:1]):
            answers = exported.module()(torch.from_numpy(some)).numpy()
            np.testing.assert_allclose(answers, predictor(module)(some), atol=1e-6)
