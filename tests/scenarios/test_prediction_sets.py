"""Sets hold the truth as often as promised, and equal those of MAPIE."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from app.inference.additions.sets import Levels, Sets, choose_classes
from app.inference.batch_predictions import batch_of
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from modelstore import Conformal, NumericFeature
from training.evaluation.conformal import score_classes
from training.learners.protocol import HeldOut

SEEDS = range(20)
NAMES = ("a", "b", "c")
FEATURE = NumericFeature(name="x", mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9)

Floats = npt.NDArray[np.float32]


def drawn(rows: int, draw: np.random.Generator) -> HeldOut:
    """Return the true probabilities of three classes, the best of which is right in three of four rows, and classes."""
    probabilities = draw.dirichlet((0.35, 0.35, 0.35), rows).astype(np.float32)
    y = (probabilities.cumsum(axis=1) < draw.random((rows, 1))).sum(axis=1).clip(max=2)
    return HeldOut(probabilities, y)


def sets_of(conformal: Conformal, probabilities: Floats, level: float) -> npt.NDArray[np.bool_]:
    """Return the classes in the sets that a request is answered, (N, K)."""
    schema = ModelSchema.of_features("synthetic", 1, [FEATURE], NAMES)
    x = np.full((len(probabilities), 1), 0.5, np.float32)
    predictions = Predictions(batch_of(schema, x, probabilities), 0, len(x))
    added = asyncio.run(Sets(Levels(schema, conformal), level).answer(predictions, range(len(x))))
    texts = added.values[0][:, 0].tolist()
    return np.array([[name in text.split("|") for name in NAMES] for text in texts])


def coverage(scored: int, tested: int, seed: int) -> tuple[float, float]:
    """Return the share of test rows whose 90 % set holds their class, and the accuracy of the best class."""
    draw = np.random.default_rng(seed)
    conformal, test = score_classes(drawn(scored, draw), NAMES, "split", exact=False), drawn(tested, draw)
    members = sets_of(conformal, test.answers.astype(np.float32), 0.9)
    return float(members[np.arange(tested), test.y].mean()), float((test.answers.argmax(axis=1) == test.y).mean())


def test_sets_of_90_percent_hold_the_truth_of_90_percent_of_the_rows() -> None:
    found, accuracy = zip(*(coverage(1000, 2000, seed) for seed in SEEDS), strict=True)

    assert np.mean(accuracy) == pytest.approx(0.75, abs=0.02)
    assert 0.888 <= np.mean(found) <= 0.912
    assert all(0.865 <= one <= 0.935 for one in found)


def test_a_hundred_calibration_rows_are_enough_on_average() -> None:
    assert 0.878 <= np.mean([coverage(100, 400, seed)[0] for seed in SEEDS]) <= 0.924


def test_by_class_the_truth_of_90_percent_of_the_rows_of_each_class_is_held() -> None:
    found = []
    for seed in SEEDS:
        draw = np.random.default_rng(100 + seed)
        conformal, test = score_classes(drawn(3300, draw), NAMES, "split", exact=True), drawn(3300, draw)
        assert conformal.guarantee == "class"
        members = sets_of(conformal, test.answers.astype(np.float32), 0.9)
        held = members[np.arange(len(members)), test.y]
        found.append([held[test.y == k].mean() for k in range(3)])

    assert all(0.885 <= one <= 0.915 for one in np.mean(found, axis=0))


def test_sets_are_those_of_mapie_and_nested() -> None:
    classification = pytest.importorskip("mapie.classification")
    draw = np.random.default_rng(7)
    calibration, test = drawn(1000, draw), drawn(10_000, draw)
    levels = [0.8, 0.9, 0.95]
    mapie = classification.SplitConformalClassifier(
        Given(), confidence_level=levels, conformity_score="lac", prefit=True
    )
    mapie.conformalize(calibration.answers, calibration.y)
    _, theirs = mapie.predict_set(test.answers)  # (N, K, levels)
    ours = [
        sets_of(score_classes(calibration, NAMES, "split", exact=False), test.answers.astype(np.float32), level)
        for level in levels
    ]

    for place, members in enumerate(ours):
        assert (members == theirs[:, :, place]).all(axis=1).mean() >= 0.999
    assert not (ours[0] & ~ours[1]).any()
    assert not (ours[1] & ~ours[2]).any()


def test_fifteen_rows_cannot_promise_95_percent() -> None:
    conformal = score_classes(drawn(15, np.random.default_rng(0)), NAMES, "out_of_fold", exact=False)
    schema = ModelSchema.of_features("synthetic", 1, [FEATURE], NAMES)
    levels = Levels(schema, conformal)

    assert choose_classes(np.eye(3, dtype=np.float32), np.array(levels.limits(0.95, "confidence"))).all()
    assert dict(levels.facts(0.95, "confidence"))["reason"].startswith("every set holds all classes: scores of 15 rows")
    assert "reason" not in dict(levels.facts(0.9, "confidence"))


class Given:
    """A fitted classifier of scikit-learn's kind whose inputs are the probabilities."""

    classes_ = np.arange(3)

    def fit(self, x: Any, y: Any) -> Given:
        """Learn nothing."""
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return the inputs."""
        return x

    def predict(self, x: Floats) -> Any:
        """Return the most probable class."""
        return x.argmax(axis=1)

    def __sklearn_is_fitted__(self) -> bool:
        return True
