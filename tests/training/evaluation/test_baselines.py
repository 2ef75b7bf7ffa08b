from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier

from modelstore import Notice
from tests.training.samples import TYPED, clouds, collect, ignore, shuffled_labels, slope, typed
from training.data.dataset import Dataset
from training.evaluation.baselines import describe_sample, fit, fit_all
from training.evaluation.classification import Classification
from training.evaluation.cross_validation import methods
from training.evaluation.leaders import MAX_ROWS


def rarely(places: tuple[int, ...], rows: int = 3 * MAX_ROWS) -> Dataset:
    """Return many rows, of which those at these places are of the second class."""
    train = clouds(rows, features=1)
    return replace(train, y=np.isin(np.arange(rows), places).astype(np.int64))


def test_every_baseline_answers_with_probabilities_in_class_order() -> None:
    train, test = clouds(90, classes=3), clouds(30, classes=3, seed=1)

    for name, model in methods(train, seed=0).items():
        answer = fit(model, train)(test.x)
        assert answer.shape == (30, 3), name
        assert answer.sum(axis=1) == pytest.approx(np.ones(30)), name


def test_every_baseline_but_the_majority_separates_the_clouds() -> None:
    test = clouds(30, classes=3, seed=1, spread=0.5)

    fitted = fit_all(clouds(90, classes=3, spread=0.5), ignore)

    right = {name for name, rival in fitted.items() if (rival.predict(test.x).argmax(axis=1) == test.y).mean() > 0.95}
    assert right == set(fitted) - {"majority"}
    assert all((rival.name, rival.role) == (name, "baseline") for name, rival in fitted.items())


@pytest.mark.parametrize("rows", [slope(4), clouds(4)], ids=["values", "classes"])
def test_of_fewer_rows_than_knn_has_neighbours_all_are_neighbours(rows: Dataset) -> None:
    answers = fit_all(rows, ignore)["knn"].predict(rows.x)

    expected = [[rows.y.mean()]] if not rows.classes else [np.bincount(rows.y) / 4]
    assert answers == pytest.approx(np.repeat(expected, 4, axis=0))


def test_the_majority_answers_the_training_frequencies() -> None:
    train = clouds(60).rows(np.arange(45) // 3 * 4 % 60)
    frequency = np.bincount(train.y, minlength=2) / len(train)

    assert fit(Classification().baselines()["majority"], train)(train.x)[0] == pytest.approx(frequency)


def test_knn_is_five_neighbours_on_standardised_features() -> None:
    train, test = shuffled_labels(clouds(60)), clouds(30, seed=1)
    train.x[:, 1] *= 1e6
    test.x[:, 1] *= 1e6
    mean, scale = train.x.mean(axis=0), train.x.std(axis=0)
    reference = KNeighborsClassifier(5).fit((train.x - mean) / scale, train.y).predict_proba((test.x - mean) / scale)

    np.testing.assert_allclose(fit(Classification().baselines()["knn"], train)(test.x), reference)


def test_boosting_is_scikit_learns_with_native_gaps_and_categories() -> None:
    train, test = typed(300), typed(100, seed=1)
    x, unseen = (rows.x[:, [1, 5, 0, 2]] for rows in (train, test))  # without the date, which is more than its cells
    columns = tuple(TYPED[place] for place in (1, 4, 0, 2))
    reference = HistGradientBoostingClassifier(categorical_features=[0, 1], random_state=0).fit(x, train.y)

    answers = fit(Classification().baselines()["gradient_boosting"], replace(train, x=x, columns=columns))(unseen)

    np.testing.assert_array_equal(answers, reference.predict_proba(unseen))


def test_a_class_without_training_rows_gets_probability_zero() -> None:
    train = clouds(60, classes=3)
    without = train.rows(np.flatnonzero(train.y != 1))

    assert (fit(Classification().baselines()["logistic_regression"], without)(train.x)[:, 1] == 0).all()


def test_every_baseline_of_a_regression_answers_with_values() -> None:
    train, test = slope(200), slope(50, seed=1)

    for name, model in methods(train, seed=0).items():
        assert fit(model, train)(test.x).shape == (50, 1), name
    assert list(methods(train, seed=0)) == ["knn", "ridge", "gradient_boosting", "mean", "mlp_regressor"]


def test_the_mean_answers_that_of_the_training_rows_and_ridge_is_scikit_learns() -> None:
    train, test = slope(200), slope(50, seed=1)
    mean, scale = train.x.mean(axis=0), train.x.std(axis=0)
    reference = Ridge().fit((train.x - mean) / scale, train.y).predict((test.x - mean) / scale)

    fitted = fit_all(train, ignore)

    np.testing.assert_allclose(fitted["mean"].predict(test.x), train.y.mean())
    np.testing.assert_allclose(fitted["ridge"].predict(test.x)[:, 0], reference, rtol=1e-5)


@pytest.mark.parametrize("rare", [(7, 11, 5000), (3, 4000)])
def test_a_rare_class_is_in_the_sample_of_every_baseline(rare: tuple[int, ...]) -> None:
    train = rarely(rare)
    assert train.thin(MAX_ROWS).y.sum() < 2

    events, fitted = collect(lambda report: fit_all(train, report))

    assert (events, list(fitted)) == ([], ["knn", "logistic_regression", "gradient_boosting", "majority"])
    assert fitted["majority"].predict(train.x[:1])[0, 1] == pytest.approx(2 / MAX_ROWS, rel=1e-3)


def test_a_baseline_that_cannot_be_fitted_is_left_out_with_a_warning() -> None:
    events, fitted = collect(lambda report: fit_all(rarely((7,)), report))

    assert list(fitted) == ["knn", "logistic_regression", "majority"]
    (warning,) = events
    assert isinstance(warning, Notice)
    assert warning.level == "warning"
    assert warning.message.startswith("gradient_boosting is not on the leader board: ValueError: The least populated")


def test_it_says_so_if_the_baselines_see_fewer_rows() -> None:
    small, large = clouds(60), clouds(MAX_ROWS + 1)

    assert describe_sample(small, small) is None
    assert describe_sample(large, small) is not None
    assert "20,000 training rows and are measured on 60 test rows" in str(describe_sample(large, small))
