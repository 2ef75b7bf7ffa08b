from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics

from modelstore import Evaluation
from training.evaluation.metrics import Floats, Ints, brier, calibration_error, evaluate, log_loss

Case = tuple[Floats, Ints]


def random_case(classes: int, rows: int = 500) -> Case:
    generator = np.random.default_rng(classes)
    probabilities = generator.dirichlet(np.ones(classes), rows).astype(np.float32)
    return probabilities, generator.integers(0, classes, rows)


def names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(classes))


@pytest.fixture(params=[2, 3, 7], ids="{} classes".format)
def case(request: pytest.FixtureRequest) -> Case:
    return random_case(request.param)


@pytest.fixture
def evaluation(case: Case) -> Evaluation:
    return evaluate(*case, names(case[0].shape[1]), "test")


def test_counts_are_scikit_learns(case: Case, evaluation: Evaluation) -> None:
    probabilities, y = case
    predicted = probabilities.argmax(axis=1)

    assert np.array_equal(evaluation.confusion, metrics.confusion_matrix(y, predicted))
    assert evaluation.accuracy == pytest.approx(metrics.accuracy_score(y, predicted))
    assert evaluation.macro_f1 == pytest.approx(metrics.f1_score(y, predicted, average="macro"))
    reports = [list(report.model_dump().values()) for report in evaluation.per_class.values()]
    expected = np.array(metrics.precision_recall_fscore_support(y, predicted)).T
    np.testing.assert_allclose(np.array(reports), expected)


def test_log_loss_and_brier_are_scikit_learns(case: Case, evaluation: Evaluation) -> None:
    probabilities, y = case
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    one_hot = np.eye(exact.shape[1])[y]

    # scikit-learn normalises the rows, ours sum to 1 only as far as float32 can
    assert evaluation.log_loss == pytest.approx(metrics.log_loss(y, exact), rel=1e-5)
    assert evaluation.brier == pytest.approx(((exact - one_hot) ** 2).sum(axis=1).mean(), rel=1e-5)


def test_brier_of_two_classes_is_twice_scikit_learns() -> None:
    probabilities, y = random_case(2)

    assert brier(probabilities, y) == pytest.approx(2 * metrics.brier_score_loss(y, probabilities[:, 1]), rel=1e-5)


def test_a_certain_mistake_is_bounded_as_scikit_learn_bounds_float32() -> None:
    probabilities, y = np.array([[1.0, 0.0], [0.25, 0.75]], dtype=np.float32), np.array([1, 1])

    assert log_loss(probabilities, y) == pytest.approx((23 * math.log(2) - math.log(0.75)) / 2)
    assert log_loss(probabilities, y) == pytest.approx(metrics.log_loss(y, probabilities, labels=[0, 1]), rel=1e-6)


def test_calibration_error_by_hand() -> None:
    # one bin (0.6, 0.667]: confidence 0.65 and 3 of 4 right; one bin (0.933, 1]: confidence 1.0 and 1 of 2 right
    probabilities = np.array([[0.65, 0.35]] * 4 + [[1.0, 0.0]] * 2)
    y = np.array([0, 0, 0, 1, 0, 1])

    assert calibration_error(probabilities, y) == pytest.approx((4 * abs(0.75 - 0.65) + 2 * abs(0.5 - 1.0)) / 6)


def test_perfect_probabilities_have_no_error_at_all() -> None:
    y = np.array([0, 1, 2, 1])
    perfect = evaluate(np.eye(3, dtype=np.float32)[y], y, names(3), "train")

    assert (perfect.accuracy, perfect.macro_f1, perfect.brier, perfect.calibration_error) == (1, 1, 0, 0)
    assert perfect.log_loss == pytest.approx(2**-23, rel=1e-6)


def test_a_class_that_never_occurs_counts_zero_without_a_warning() -> None:
    with warnings.catch_warnings(action="error"):
        report = evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]), names(2), "test").per_class["class 1"]

    assert report.model_dump() == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_chunks_change_nothing(case: Case, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.metrics.CHUNK_ROWS", 64)

    in_chunks = evaluate(*case, names(case[0].shape[1]), "test")

    assert in_chunks.confusion == evaluation.confusion
    for figure in ("accuracy", "macro_f1", "log_loss", "brier", "calibration_error"):
        assert getattr(in_chunks, figure) == pytest.approx(getattr(evaluation, figure), rel=1e-9), figure
