"""How often each interval holds the truth is in test_metrics.py."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.intervals import Sums, f1_interval, logit_interval, standard_error
from training.evaluation.metrics import evaluate


def test_the_interval_of_a_mean_is_that_of_its_values_however_they_come() -> None:
    values, sums = np.random.default_rng(0).exponential(size=50), Sums()
    for part in (values[:7], values[7:8], values[8:]):
        sums.add(part)

    reach = 1.96 * values.std(ddof=1) / np.sqrt(50)
    assert sums.rows == 50
    assert sums.mean == pytest.approx(values.mean())
    assert sums.interval == pytest.approx((values.mean() - reach, values.mean() + reach))


def test_the_interval_of_average_precision_is_symmetric_in_logits() -> None:
    found = logit_interval(0.8, 50)

    assert found is not None
    odds = [np.log(end / (1 - end)) for end in found]
    assert np.mean(odds) == pytest.approx(np.log(4))
    assert odds[1] - odds[0] == pytest.approx(2 * 1.96 / np.sqrt(50 * 0.8 * 0.2))
    assert logit_interval(1.0, 50) is None


def test_without_mistakes_or_with_one_row_there_is_nothing_to_tell() -> None:
    alone = evaluate(np.array([[0.9, 0.1]]), np.array([0]), ("no", "yes"), "test")

    assert f1_interval(np.diag([3, 4])) is None
    assert list(alone.intervals or {}) == ["accuracy"]
    assert (alone.roc_auc, alone.average_precision) == (None, None)


def test_the_standard_error_of_groups_is_that_of_one_row_of_each() -> None:
    values = np.random.default_rng(0).normal(size=30)
    groups = np.arange(30, dtype=np.uint64)
    expected = values.std(ddof=1) / np.sqrt(30)

    assert standard_error(values) == standard_error(values, groups) == expected
    assert standard_error(np.repeat(values, 40), np.repeat(groups, 40)) == pytest.approx(expected)
    assert standard_error(values, np.zeros(30)) == expected  # of one group, rows count
