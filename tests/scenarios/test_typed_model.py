"""A trained model of all types of column passes the checks of a server."""

from __future__ import annotations

import pytest

from app.runtime.trial import try_out
from app.runtime.verify import torchscript_scan
from modelstore import Manifest
from tests.training.learners.auto.fakes import BlendLearner
from tests.training.samples import classified, describe, ignore, settings, typed
from training.config.learner_settings import TrainingSettings
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Learner
from training.learners.trees.boosting import TreesLearner


@pytest.mark.slow
@pytest.mark.parametrize(
    "learner",
    [
        MLPLearner(settings(epochs=100)),
        TreesLearner(TrainingSettings(learner="trees")),
        pytest.param(BlendLearner(TrainingSettings()), marks=pytest.mark.slow),
    ],
    ids=["mlp", "trees", "blend"],
)
def test_a_typed_model_is_admitted_and_answers_its_golden_rows(learner: Learner) -> None:
    train, test = typed(400), typed(100, seed=1)
    manifest, model = describe(learner.fit(train, test, ignore).module, train, test)

    torchscript_scan.inspect(model)
    try_out(Manifest.from_json(manifest.to_json()), 1, model)  # raises VersionRefused if a check fails

    assert manifest.width == 6
    assert classified(manifest.metrics["test"]).accuracy > 0.7
