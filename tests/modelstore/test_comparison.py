"""Two versions row by row; the p-values are those of scipy's binomial test."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scipy.stats import binomtest

from modelstore import (
    ClassificationComparison,
    FeedbackSummary,
    Lineage,
    ModelRepository,
    ModelVersion,
    NotComparable,
    Prediction,
    RegressionComparison,
    ValuePrediction,
    compare_versions,
    write_predictions,
    write_values,
)
from modelstore.comparison import MAX_EXAMPLES, mcnemar
from tests.modelstore.samples import CLASSES, MODEL, sample_manifest, sample_regression

ONE, OTHER = CLASSES


def published(root: Path, predictions: bytes | None, lineage: Lineage | None = None) -> ModelVersion:
    manifest = sample_manifest(MODEL, **({"lineage": lineage} if lineage else {}))
    files = {} if predictions is None else {"test_predictions.csv": predictions}
    return ModelRepository(root).publish(manifest, MODEL, files)


def said(*rows: tuple[int, str, str]) -> bytes:
    return write_predictions((line, Prediction(truth, predicted, 0.75)) for line, truth, predicted in rows)


def test_rows_that_differ_are_counted_and_named(tmp_path: Path) -> None:
    first = published(tmp_path, said((2, ONE, ONE), (3, ONE, ONE), (4, OTHER, ONE), (5, OTHER, OTHER)))
    second = published(tmp_path, said((2, ONE, ONE), (3, ONE, OTHER), (4, OTHER, OTHER), (5, OTHER, ONE)))
    compared = compare_versions(first, second)
    assert isinstance(compared, ClassificationComparison)
    assert (compared.rows, compared.agreeing, compared.disagreeing) == (4, 1, 3)
    assert (compared.only_first_right, compared.only_second_right) == (2, 1)
    assert [(row.line, row.truth, row.first, row.second) for row in compared.examples] == [
        (3, ONE, ONE, OTHER),
        (4, OTHER, ONE, OTHER),
        (5, OTHER, OTHER, ONE),
    ]
    assert compared.versions == (1, 2)
    assert compared.metrics.keys() == {"1", "2"}
    assert compared.p_value == 1.0


def test_version_agrees_with_itself(tmp_path: Path) -> None:
    version = published(tmp_path, said((2, ONE, ONE), (3, OTHER, ONE)))
    compared = compare_versions(version, version)
    assert (compared.agreeing, compared.disagreeing, compared.p_value) == (2, 0, 1.0)


def test_examples_are_bounded(tmp_path: Path) -> None:
    lines = range(2, MAX_EXAMPLES + 12)
    first, second = (published(tmp_path, said(*((n, ONE, label) for n in lines))) for label in (ONE, OTHER))
    compared = compare_versions(first, second)
    assert compared.disagreeing == len(lines)
    assert [row.line for row in compared.examples] == list(lines[:MAX_EXAMPLES])


def test_versions_of_other_data_or_other_rows_are_not_compared(tmp_path: Path) -> None:
    here = published(tmp_path, said((2, ONE, ONE)))
    lineage = sample_manifest().lineage.model_copy(update={"data_sha256": {"petals.csv": "0" * 64}})
    with pytest.raises(NotComparable, match="different data"):
        compare_versions(here, published(tmp_path, said((2, ONE, ONE)), lineage))
    with pytest.raises(NotComparable, match="other rows"):
        compare_versions(here, published(tmp_path, said((3, ONE, ONE))))


def of_feedback(rows: int) -> Lineage:
    first = datetime(2026, 11, 1, tzinfo=UTC)
    summary = FeedbackSummary(rows=rows, first=first, last=first, versions=(1,))
    return sample_manifest().lineage.model_copy(update={"feedback": summary})


def test_rows_of_feedback_are_compared_each_and_shown_last_without_a_line(tmp_path: Path) -> None:
    first = published(tmp_path, said((2, ONE, ONE), (-2, ONE, ONE), (-1, OTHER, ONE)), of_feedback(9))
    second = published(tmp_path, said((2, ONE, OTHER), (-2, ONE, OTHER), (-1, OTHER, OTHER)), of_feedback(9))

    compared = compare_versions(first, second)

    assert (compared.rows, compared.disagreeing) == (3, 3)
    assert [(row.line, row.truth) for row in compared.examples] == [(2, ONE), (None, OTHER), (None, ONE)]


def test_versions_that_were_tested_on_other_rows_of_feedback_are_not_compared(tmp_path: Path) -> None:
    rows = said((2, ONE, ONE), (-1, ONE, ONE))
    first = published(tmp_path, rows, of_feedback(9))

    with pytest.raises(NotComparable, match="other rows of feedback"):
        compare_versions(first, published(tmp_path, rows, of_feedback(10)))


def test_versions_that_were_trained_on_other_feedback_are_compared_on_rows_of_the_file(tmp_path: Path) -> None:
    first, second = (published(tmp_path, said((2, ONE, ONE)), lineage) for lineage in (None, of_feedback(9)))

    assert compare_versions(first, second).rows == 1


@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (1, 5), (5, 1), (7, 7), (3, 20), (40, 61), (900, 1100)])
def test_p_value_is_that_of_the_exact_test(counts: tuple[int, int]) -> None:
    reference = binomtest(counts[0], sum(counts), 0.5).pvalue if sum(counts) else 1.0
    assert mcnemar(*counts) == pytest.approx(reference, rel=1e-9)


def regressor(root: Path, *rows: tuple[int, float, float]) -> ModelVersion:
    predictions = write_values((line, ValuePrediction(truth, predicted)) for line, truth, predicted in rows)
    return ModelRepository(root).publish(sample_regression(), MODEL, {"test_predictions.csv": predictions})


def test_two_regressors_are_compared_by_their_distance_to_the_truth(tmp_path: Path) -> None:
    first = regressor(tmp_path, (2, 10, 11), (3, 20, 20), (4, 30, 33), (5, 40, 40))
    second = regressor(tmp_path, (2, 10, 10.5), (3, 20, 24), (4, 30, 27), (5, 40, 40))

    compared = compare_versions(first, second)

    assert isinstance(compared, RegressionComparison)
    assert (compared.rows, compared.agreeing, compared.disagreeing) == (4, 1, 3)
    assert (compared.first_closer, compared.second_closer) == (1, 1)  # line 4: 3 off on either side
    assert compared.rmse == pytest.approx((math.sqrt(10 / 4), math.sqrt(25.25 / 4)))
    assert [(row.line, row.truth, row.first, row.second) for row in compared.examples] == [
        (4, 30, 33, 27),
        (3, 20, 20, 24),
        (2, 10, 11, 10.5),
    ]
    assert compared.metrics.keys() == {"1", "2"}
    assert compared.p_value == 1.0


def test_a_regressor_that_is_closer_on_every_row_is_told_from_chance(tmp_path: Path) -> None:
    first = regressor(tmp_path, *((line, 1.0, 1.5) for line in range(2, 12)))
    second = regressor(tmp_path, *((line, 1.0, 1.25) for line in range(2, 12)))

    assert compare_versions(first, second).p_value == pytest.approx(binomtest(0, 10, 0.5).pvalue)


def test_a_classifier_and_a_regressor_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(NotComparable, match="one predicts classes, the other one values"):
        compare_versions(published(tmp_path, said((2, ONE, ONE))), regressor(tmp_path, (2, 1, 1)))
