from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics

from modelstore import Evaluation
from training.evaluation.metrics import Floats, Ints, brier, evaluate, log_loss

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


def test_order_of_probabilities_is_scikit_learns(case: Case, evaluation: Evaluation) -> None:
    probabilities, y = case
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    scores, truth = (exact[:, 1], y) if exact.shape[1] == 2 else (exact, np.eye(exact.shape[1])[y])

    assert evaluation.roc_auc == pytest.approx(metrics.roc_auc_score(y, scores, multi_class="ovr"), abs=1e-4)
    assert evaluation.average_precision == pytest.approx(metrics.average_precision_score(truth, scores), abs=1e-4)


@pytest.mark.slow
def test_intervals_hold_the_truth_in_19_of_20_samples() -> None:
    # the true figures of these probabilities are those of very many rows
    names_of_figures = ("accuracy", "log_loss", "brier", "macro_f1", "roc_auc", "average_precision")
    truth, missed = evaluate(*sampled(0, 200_000), names(2), "test"), dict.fromkeys(names_of_figures, 0)
    for seed in range(1, 101):
        found = evaluate(*sampled(seed, 200), names(2), "test")
        for name, (low, high) in (found.intervals or {}).items():
            missed[name] += not low <= getattr(truth, name) <= high

    assert all(1 <= count <= 12 for count in missed.values()), missed  # 12 of 100 at 5 %: once in 500 times


def sampled(seed: int, rows: int) -> Case:
    """Return probabilities of two classes that are true."""
    generator = np.random.default_rng(seed)
    second = generator.beta(2, 3, rows)
    return np.column_stack((1 - second, second)), (generator.random(rows) < second).astype(np.int64)


def test_many_rows_are_sorted_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(*sampled(3, 20_000), names(2), "test")
    monkeypatch.setattr("training.evaluation.metrics.MOST_SORTED", 10_000)

    some = evaluate(*sampled(3, 20_000), names(2), "test")

    assert some.log_loss == whole.log_loss
    assert some.roc_auc != whole.roc_auc
    assert some.roc_auc == pytest.approx(whole.roc_auc, abs=0.02)


def test_perfect_probabilities_have_no_error_at_all() -> None:
    y = np.array([0, 1, 2, 1])
    perfect = evaluate(np.eye(3, dtype=np.float32)[y], y, names(3), "train")

    assert (perfect.accuracy, perfect.macro_f1, perfect.brier, perfect.calibration_error) == (1, 1, 0, 0)
    assert perfect.log_loss == pytest.approx(2**-23, rel=1e-6)


def test_a_class_that_never_occurs_counts_zero_without_a_warning() -> None:
    with warnings.catch_warnings(action="error"):
        report = evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]), names(2), "test").per_class["class 1"]

    assert report.model_dump() == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


def test_classes_without_rows_and_predictions_do_not_count_in_macro_f1() -> None:
    y = np.array([0, 1, 2, 3] * 10)
    sure = np.eye(5, dtype=np.float32) * 0.96 + 0.008
    wrong = np.where(np.arange(40) == 3, 1, y)  # a row of class 3 as class 1
    never = np.where(y == 3, 4, y)  # a class with predictions, but without rows

    assert evaluate(sure[y], y, names(5), "test").macro_f1 == 1
    for predicted in (wrong, never):
        measured = evaluate(sure[predicted], y, names(5), "test")
        assert measured.macro_f1 == pytest.approx(metrics.f1_score(y, predicted, average="macro"))
        low, high = (measured.intervals or {})["macro_f1"]
        assert low < measured.macro_f1 < high


def test_chunks_change_nothing(case: Case, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.metrics.CHUNK_ROWS", 64)

    in_chunks = evaluate(*case, names(case[0].shape[1]), "test")

    assert in_chunks.confusion == evaluation.confusion
    for figure in ("accuracy", "macro_f1", "log_loss", "brier", "calibration_error", "roc_auc"):
        assert getattr(in_chunks, figure) == pytest.approx(getattr(evaluation, figure), rel=1e-9), figure
