"""The three tutorials that this project starts from, held to the figures that they publish."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from modelstore import EpochMetrics
from tests.training.samples import DATA, classified, ignore
from training.config.recipe import BUILT_IN, load_recipe
from training.data.splits import load_splits
from training.evaluation.candidate import Candidate, make_probe
from training.learners.calibrated import fit_calibrated
from training.pipeline import train_candidate


def trained(name: str) -> Candidate:
    recipe = load_recipe(name, BUILT_IN)
    return train_candidate(recipe, load_splits(recipe.data, DATA), ignore)


def reported(history: Iterable[EpochMetrics]) -> list[EpochMetrics]:
    return [metrics for metrics in history if metrics.test_accuracy is not None]


def cancer_losses(seed: int) -> list[float]:
    """Return the losses that the training reports, without measuring what it has learnt."""
    recipe = load_recipe("cancer-tutorial", BUILT_IN)
    splits, settings = load_splits(recipe.data, DATA), recipe.training.model_copy(update={"seed": seed})
    train, validation = splits.hold_out(settings.validation_fraction, seed)
    fitted = fit_calibrated(settings, train, validation, ignore, make_probe(recipe, splits.test))
    return [metrics.train_loss for metrics in reported(fitted.history)]


@pytest.mark.slow
def test_cancer_gives_the_published_losses_and_confusion_matrix() -> None:
    candidate = trained("cancer-tutorial")

    losses = [metrics.train_loss for metrics in reported(candidate.history)]
    # published with two digits; another CPU's summation order may add a little
    assert losses == pytest.approx([0.69, 0.66, 0.63, 0.59, 0.54, 0.50], abs=0.02)
    assert classified(candidate.metrics["test"]).confusion == ((9, 0), (1, 5))


@pytest.mark.slow
def test_cancers_published_losses_lie_within_the_spread_of_ordinary_seeds() -> None:
    curves = np.array([cancer_losses(seed) for seed in range(10)])

    deviation = np.abs(curves.mean(axis=0) - [0.69, 0.66, 0.63, 0.59, 0.54, 0.50])
    assert (deviation < 1.5 * curves.std(axis=0)).all()


@pytest.mark.slow
def test_iris_reports_its_test_accuracy_every_20_epochs() -> None:
    candidate = trained("iris-tutorial")

    assert [metrics.epoch for metrics in reported(candidate.history)] == [20, 40, 60, 80, 100]
    assert classified(candidate.metrics["test"]).accuracy > 0.9


@pytest.mark.slow
def test_blobs_separates_the_two_clouds() -> None:
    candidate = trained("blobs-tutorial")

    assert len(candidate.history) == 1000
    assert classified(candidate.metrics["test"]).accuracy == 1.0
