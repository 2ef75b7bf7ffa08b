"""The walker answers as scikit-learn's own prediction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from tests.training.samples import typed
from training.data.dataset import Dataset
from training.learners.protocol import predictor
from training.learners.trees.inputs import codes_of, inputs_of
from training.learners.trees.scikit import read_boosting, read_forest
from training.learners.trees.walker import Walker

ROWS = 10_000


def sums(model: Any, rows: Dataset) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the walker's sums for cells."""
    read = read_boosting(model, model.n_iter_, codes_of(rows.columns))
    x = predictor(inputs_of(rows.columns))(rows.x)
    walker = Walker([tree for one in read.trees for tree in one], read.base, x.shape[1])
    return predictor(walker.eval())(x).astype(np.float64)


@pytest.mark.parametrize("classes", [2, 4, 26])
def test_classes_agree_on_rows_with_gaps_dates_and_unseen_codes(classes: int) -> None:
    train, rows = typed(1000), typed(ROWS, seed=1, gaps=0.2)
    seen = train.x[:, 5] != 2  # the code of other texts was not in training
    train = train.rows(np.flatnonzero(seen | np.isnan(train.x[:, 5])))
    inputs = predictor(inputs_of(train.columns))
    y = train.y if classes == 2 else (train.y + np.nan_to_num(train.x[:, 3])).astype(int) % classes
    model = HistGradientBoostingClassifier(
        max_iter=200 // classes, max_depth=8, max_features=0.8, categorical_features=[0, 1], random_state=0
    ).fit(inputs(train.x), y)

    logits = sums(model, rows)

    ours = np.column_stack([np.zeros(ROWS), logits]) if classes == 2 else logits
    ours = np.exp(ours - ours.max(axis=1, keepdims=True))
    np.testing.assert_allclose(ours / ours.sum(axis=1, keepdims=True), model.predict_proba(inputs(rows.x)), atol=1e-6)


@pytest.mark.slow
def test_values_agree() -> None:
    train, rows = typed(1000), typed(ROWS, seed=1, gaps=0.2)
    inputs = predictor(inputs_of(train.columns))
    y = 1000 + 50 * train.y + np.nan_to_num(train.x[:, 0])
    model = HistGradientBoostingRegressor(max_iter=50, categorical_features=[0, 1], random_state=0).fit(
        inputs(train.x), y
    )

    np.testing.assert_allclose(sums(model, rows)[:, 0], model.predict(inputs(rows.x)), rtol=2e-7)


def test_a_column_of_gaps_alone_and_one_value_alone_are_no_obstacle() -> None:
    train = typed(200)
    x = train.x.copy()
    x[:, 1], x[:, 0] = np.nan, 4
    train = replace(train, x=x)
    inputs = predictor(inputs_of(train.columns))
    model = HistGradientBoostingRegressor(categorical_features=[0, 1], max_iter=5).fit(inputs(x), np.full(200, 7.0))

    assert np.unique(sums(model, typed(50))).tolist() == [7]


@pytest.mark.parametrize("classes", [2, 5, 0])
def test_forests_agree_on_rows_with_gaps(classes: int) -> None:
    train, rows = typed(800), typed(ROWS, seed=1, gaps=0.2)
    inputs = predictor(inputs_of(train.columns))
    y = np.nan_to_num(train.x[:, 0]) if not classes else np.nan_to_num(train.x[:, 0]).astype(int) % classes
    kind = ExtraTreesClassifier if classes else ExtraTreesRegressor
    model = kind(20, max_depth=12, random_state=0).fit(inputs(train.x), y)

    walker = Walker(read_forest(model, classes or 1), np.zeros(classes or 1), 9)
    answers = predictor(walker.eval())(inputs(rows.x))

    theirs = model.predict_proba(inputs(rows.x)) if classes else model.predict(inputs(rows.x))[:, None]
    np.testing.assert_allclose(answers, theirs, atol=1e-6, rtol=2e-7)
