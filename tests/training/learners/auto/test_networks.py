"""One plain network for each fold, as one module."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.samples import clouds, ignore, settings, shuffled_labels, slope, typed
from training.artifact.torchscript import load, to_torchscript
from training.data.dataset import Dataset
from training.learners.auto.networks import NetworksLearner
from training.learners.folds import folds_of
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import predictor
from training.preprocessing.encoder import fit_encoder


@pytest.mark.parametrize(
    "rows",
    [shuffled_labels(clouds(60, features=5)), clouds(90, classes=3), slope(60), typed(120)],
    ids=["two classes", "three classes", "values", "typed"],
)
def test_each_row_is_answered_by_the_network_of_its_fold_and_the_module_is_the_mean_of_all(rows: Dataset) -> None:
    chosen, folds = settings(hidden=(8, 4), epochs=5), folds_of(rows, seed=0, folds=3)

    fitted = NetworksLearner(chosen).fit_folds(rows, folds, ignore)

    learner = MLPLearner(chosen, fit_encoder(rows))
    parts = [rows.rows(np.setdiff1d(np.arange(len(rows)), held_out)) for held_out in folds]
    single = [predictor(learner.fit(part, None, ignore).module) for part in parts]
    assert fitted.held_out is not None
    for held_out, predict in zip(folds, single, strict=True):
        np.testing.assert_array_equal(fitted.held_out.answers[held_out], predict(rows.x[held_out]))
    mean = np.mean([predict(rows.x) for predict in single], axis=0)
    published = load(to_torchscript(fitted.module, rows.x))
    np.testing.assert_allclose(published(rows.x), mean, rtol=1e-6, atol=1e-6)


def test_the_held_out_rows_stop_the_training_of_their_network() -> None:
    rows = shuffled_labels(clouds(60, features=5))
    learner = NetworksLearner(settings(epochs=200, patience=2, validation_fraction=0.2))
    epochs: list[object] = []

    learner.fit_folds(rows, folds_of(rows, seed=0), epochs.append)

    assert 5 * 3 <= len(epochs) < 5 * 200


def test_with_validation_rows_it_is_one_plain_network() -> None:
    rows, validation = clouds(60), clouds(20, seed=1)

    once = NetworksLearner(settings(epochs=5)).fit(rows, validation, ignore)

    alone = MLPLearner(settings(epochs=5)).fit(rows, validation, ignore)
    np.testing.assert_array_equal(predictor(once.module)(rows.x), predictor(alone.module)(rows.x))
