"""The temperature against scipy's minimum, and for classifiers right by construction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss

from tests.training.samples import clouds, learnt
from training.artifact.torchscript import load, to_torchscript
from training.learners.protocol import predictor
from training.learners.temperature import COLDEST, Calibrated, fit_temperature, to_logits


@pytest.mark.slow
def test_the_temperature_is_that_by_which_the_logits_were_sharpened() -> None:
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((20_000, 3))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (true.cumsum(axis=1) < generator.random((20_000, 1))).sum(axis=1)

    found, none = (fit_temperature(factor * logits, y, seed=0) for factor in (2.5, 1.0))

    assert found is not None
    assert none is not None
    assert (found.helps, none.helps) == (True, False)
    assert (found.divisor, none.divisor) == pytest.approx((2.5, 1), rel=0.05)


def test_being_right_about_every_row_is_no_reason_to_be_as_sure_as_can_be() -> None:
    logits = np.log([[0.9, 0.1], [0.1, 0.9]] * 20)

    found = fit_temperature(logits, np.array([0, 1] * 20), seed=0)

    assert found is not None
    assert COLDEST + 0.1 < found.divisor < 1
    assert fit_temperature(logits[:29], np.array([0, 1] * 15)[:29], seed=0) is None  # too few rows


def test_the_divisor_is_that_of_the_least_log_loss() -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(2000, 3))
    y = np.array([draw.choice(3, p=row) for row in softmax(logits, axis=1)])

    found = fit_temperature(3 * logits, y, seed=0)

    best = minimize_scalar(lambda divisor: log_loss(y, softmax(3 * logits / divisor, axis=1)), bounds=(0.25, 20))
    assert found is not None
    assert found.divisor == pytest.approx(best.x, rel=1e-3)


def test_rows_of_a_group_choose_no_divisor_for_each_other() -> None:
    """So 50 rows alike of each group say what one of each does."""
    draw = np.random.default_rng(0)
    logits, y = draw.normal(size=(40, 3)), draw.integers(0, 3, 40)
    groups = np.arange(40, dtype=np.uint64)[::-1].copy()
    many, truths = np.repeat(logits, 50, axis=0), np.repeat(y, 50)

    one = fit_temperature(logits, y, 3, groups)
    alike = fit_temperature(many, truths, 3, np.repeat(groups, 50))
    leaked = fit_temperature(many, truths, 3)

    assert one is not None
    assert alike is not None
    assert leaked is not None
    assert (alike.gain, alike.standard_error) == pytest.approx((one.gain, one.standard_error), rel=0.05)
    assert leaked.gain > 1.05 * one.gain
    assert leaked.standard_error < one.standard_error / 5
    alone = fit_temperature(logits, y, 3, np.zeros(40, dtype=np.uint64))
    assert alone == fit_temperature(logits, y, 3)  # of one group, rows choose


def test_a_class_of_probability_zero_costs_no_infinity() -> None:
    answers = np.tile([1.0, 0.0], (100, 1))

    found = fit_temperature(to_logits(answers), np.arange(100) % 4 // 3, seed=0)

    assert found is not None
    assert found.helps
    assert np.isfinite(found)[:2].all()


def test_a_temperature_divides_the_logits_and_can_be_published() -> None:
    rows = clouds(60)
    member = learnt(rows, epochs=3).module

    answers = load(to_torchscript(Calibrated(member, np.zeros(2), 2.0).eval(), rows.x))(rows.x)

    roots = np.sqrt(predictor(member)(rows.x))
    np.testing.assert_allclose(answers, roots / roots.sum(axis=1, keepdims=True), atol=1e-6)
