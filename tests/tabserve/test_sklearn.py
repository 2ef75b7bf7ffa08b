"""The estimators are scikit-learn's: its own checks, its own tools, and columns of any type."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from app.runtime.engines.choice import Engine, QuickestEngine, quickest
from app.schema import Float32
from tabserve.sklearn import TabserveClassifier, TabserveRegressor
from tests.processes import PROJECT

FEW = (
    "expected at least 5 rows of each class",
    "expected at least two classes with training rows",
    "needs samples of at least 2 classes",
    "expected training rows that differ",
)
"""A training holds rows out, so tables of ten or twenty rows may be too small for it; it says so."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [TabserveClassifier(learner="linear"), TabserveRegressor(learner="linear")])
def test_checks_of_scikit_learn_pass(estimator: Any) -> None:
    results = check_estimator(estimator, on_fail=None, on_skip=None)

    failed = {result["check_name"]: str(result["exception"]) for result in results if result["status"] == "failed"}
    assert {name: said for name, said in failed.items() if not any(reason in said for reason in FEW)} == {}
    assert len(results) - len(failed) >= 40


def test_an_estimator_that_is_not_fitted_says_so() -> None:
    with pytest.raises(NotFittedError):
        TabserveClassifier().predict([[1.0]])
    with pytest.raises(ValueError, match="needs 10 rows or more, got n_samples=2"):
        TabserveRegressor().fit([[1.0], [2.0]], [1.0, 2.0])


@pytest.mark.slow
def test_classes_are_those_of_the_target_and_copies_predict_the_same() -> None:
    x, y = load_iris(return_X_y=True, as_frame=True)
    fitted = TabserveClassifier(learner="linear").fit(x, y + 7)
    copied = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - our own bytes

    assert fitted.classes_.tolist() == [7, 8, 9]
    assert (fitted.predict(x) == y + 7).mean() > 0.95
    assert fitted.predict_proba(x).sum(axis=1) == pytest.approx(np.ones(150), abs=1e-5)
    assert np.array_equal(copied.predict_proba(x), fitted.predict_proba(x))
    assert not hasattr(clone(fitted), "files_")
    assert set(fitted.metrics_) >= {"train", "test"}
    assert "model.pt" in fitted.files_
    assert not any(name.endswith(".png") for name in fitted.files_)


@pytest.mark.slow
def test_a_fit_releases_the_version_of_the_fit_before() -> None:
    before = set(threading.enumerate())
    x, y = load_diabetes(return_X_y=True)
    estimator = TabserveRegressor(learner="linear")
    for _ in range(2):
        estimator.fit(x[:60], y[:60])

    assert [thread.name for thread in set(threading.enumerate()) - before].count("tabserve") == 1
    assert len(estimator.predict(x)) == len(x)


@pytest.mark.slow
def test_the_same_engine_answers_after_every_load_however_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = []

    def seen(groups: Sequence[Sequence[Engine]], row: Float32) -> QuickestEngine:
        offered.append([engine.name for group in groups for engine in group])
        return quickest(groups, row)

    monkeypatch.setattr("app.runtime.load.quickest", seen)
    fitted = TabserveClassifier(learner="linear").fit(*load_iris(return_X_y=True))
    pickle.loads(pickle.dumps(fitted)).predict([[1.0] * 4])  # noqa: S301 - our own bytes

    assert offered[-1] == ["cpu"]
    assert "model.onnx" in fitted.files_, "another engine could answer"


@pytest.mark.slow
def test_tools_of_scikit_learn_take_them_and_columns_have_any_type() -> None:
    churn = pd.read_csv(PROJECT / "data" / "churn.csv").drop(columns=["customer_id"]).head(600)
    scores = cross_val_score(
        TabserveClassifier(learner="linear"), churn.drop(columns="churned"), churn["churned"], cv=2, scoring="roc_auc"
    )
    x, y = load_diabetes(return_X_y=True)

    assert scores.min() > 0.75
    assert TabserveRegressor(learner="linear").fit(x, y).score(x, y) > 0.45
