"""A trained model of every type of column passes the checks that a server makes before it answers."""

from __future__ import annotations

import pytest

from app.runtime.load import try_out
from app.runtime.verify import torchscript_scan
from modelstore import GateReport, Manifest, Target
from tests.training.learners.auto.fakes import BlendLearner
from tests.training.samples import ignore, recipe, settings, typed
from training.artifact.manifest import build_manifest, golden_rows
from training.artifact.torchscript import to_torchscript
from training.config.learner_settings import TrainingSettings
from training.data.splits import Splits
from training.evaluation.metrics import evaluate
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Learner, predictor
from training.learners.trees.boosting import TreesLearner


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
    module = learner.fit(train, test, ignore).module
    model, predict = to_torchscript(module, train.x), predictor(module)
    measured = evaluate(predict(test.x), test.y, test.classes, "test")
    manifest = build_manifest(
        recipe(),
        model,
        Splits(train, test, {"clouds.csv": "0" * 64}, (), Target(name="cloud")),
        golden=golden_rows(predict, train, test),
        metrics={"test": measured},
        baselines={},
        gate=GateReport(policy="always", passed=True, reason="because"),
        job=None,
    )

    torchscript_scan.inspect(model)
    try_out(Manifest.from_json(manifest.to_json()), 1, model)  # raises VersionRefused if a check fails

    assert manifest.width == 6
    assert measured.accuracy > 0.7
