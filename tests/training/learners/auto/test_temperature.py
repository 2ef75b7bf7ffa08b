"""The temperature, held to scipy's minimum and to classifiers that are right by construction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss

from training.learners.auto.temperature import fit_temperature, is_beyond_chance


def drawn(rows: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (N, 3), and classes drawn with their probabilities."""
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(rows, 3))
    return logits, np.array([draw.choice(3, p=row) for row in softmax(logits, axis=1)])


@pytest.mark.parametrize("factor", [3.0, 0.4], ids=["overconfident", "underconfident"])
def test_a_wrong_confidence_is_put_right(factor: float) -> None:
    logits, y = drawn()
    answers = softmax(factor * logits, axis=1)

    inverse, tempered = fit_temperature(answers, y)

    best = minimize_scalar(lambda t: log_loss(y, softmax(factor * t * logits, axis=1)), bounds=(0.1, 8))
    assert inverse == pytest.approx(best.x, rel=1e-3)
    np.testing.assert_allclose(tempered, softmax(factor * inverse * logits, axis=1), atol=1e-5)


def test_a_right_confidence_is_left_alone() -> None:
    logits, y = drawn()
    answers = softmax(logits, axis=1)

    inverse, tempered = fit_temperature(answers, y)

    assert inverse == 1
    assert tempered is answers


def test_a_class_of_probability_zero_costs_no_infinity() -> None:
    answers = np.tile([1.0, 0.0], (100, 1))

    inverse, tempered = fit_temperature(answers, np.arange(100) % 4 // 3)

    assert 1 / 8 <= inverse < 1
    assert np.isfinite(tempered).all()


def test_a_mean_above_its_standard_error_is_beyond_chance() -> None:
    assert is_beyond_chance(np.array([1.0, 1.0, 2.0]))
    assert not is_beyond_chance(np.array([1.0, -1.0, 0.5]))
    assert not is_beyond_chance(np.array([5.0]))  # one row tells nothing
    assert not is_beyond_chance(np.zeros(10))
