"""Scores are those of the formulas; intervals follow the spread.

tests/scenarios/test_prediction_sets.py has the coverage of sets.
"""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.conformal import (
    LEVELS,
    find_covered,
    learn_spread,
    measure_coverage,
    score_classes,
    score_values,
    spread_at,
)
from training.learners.protocol import HeldOut

NAMES = ("a", "b", "c")


def noisy(rows: int, seed: int, *, grows: bool) -> HeldOut:
    """Return values with normal errors, whose deviation is the value, or 5 wherever."""
    draw = np.random.default_rng(seed)
    values = draw.uniform(0, 10, rows)
    return HeldOut(values[:, None], values + draw.standard_normal(rows) * (values if grows else 5))


def test_a_score_is_the_probability_that_the_true_class_lacks() -> None:
    held_out = HeldOut(np.array([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.25, 0.25, 0.5]]), np.array([0, 0, 2]))
    found = score_classes(held_out, NAMES, "out_of_fold", exact=False)

    assert found.scores == pytest.approx((0.3, 0.5, 0.7))
    assert found.rows == 3
    assert (found.score, found.source, found.guarantee) == ("lac", "out_of_fold", "approximate")
    assert find_covered(found, held_out, NAMES, 0.5).tolist() == [True, False, True]


def test_classes_have_scores_of_their_own_from_a_hundred_rows_of_each_on() -> None:
    probabilities = np.random.default_rng(0).dirichlet((1, 1, 1), 301)
    y = np.repeat(np.arange(3), (101, 100, 100))
    found = score_classes(HeldOut(probabilities, y), NAMES, "split", exact=True)

    assert found.guarantee == "class"
    assert found.per_class is not None
    assert [found.per_class[name].rows for name in NAMES] == [101, 100, 100]
    assert found.per_class["b"].scores == pytest.approx(np.sort(1 - probabilities[y == 1, 1]), abs=1e-6)
    few = score_classes(HeldOut(probabilities[:-1], y[:-1]), NAMES, "split", exact=True)
    assert (few.guarantee, few.per_class) == ("marginal", None)
    assert score_classes(HeldOut(probabilities, y), NAMES, "split", exact=False).guarantee == "approximate"


def test_intervals_that_follow_the_spread_are_narrower_and_cover_small_and_large_values_alike() -> None:
    learnt, scored, fresh = (noisy(3000, seed, grows=True) for seed in range(3))
    scaled, plain = (score_values(scored, one, "split", exact=True) for one in (learnt, None))

    assert (scaled.score, plain.score) == ("scaled", "absolute")
    values = fresh.answers[:, 0]
    (limit,), (plain_limit,) = scaled.limits(("value",), 0.9), plain.limits(("value",), 0.9)
    assert 2 * limit * spread_at(scaled.spread, values).mean() < 0.9 * 2 * plain_limit
    inside, plainly = find_covered(scaled, fresh, (), 0.9), find_covered(plain, fresh, (), 0.9)
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    for part in (values < 5, values >= 5):
        assert inside[part].mean() == pytest.approx(0.9, abs=0.03)
    assert plainly[values < 5].mean() > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_no_spread_is_learnt_that_makes_intervals_wider_by_a_tenth(seed: int) -> None:
    learnt, scored, fresh = (noisy(1000, 10 * seed + part, grows=False) for part in range(3))
    scaled, plain = (score_values(scored, one, "split", exact=True) for one in (learnt, None))

    width = spread_at(scaled.spread, fresh.answers[:, 0]).mean() * np.array(
        [scaled.limits(("value",), c)[0] for c in LEVELS]
    )
    assert (width <= 1.1 * np.array([plain.limits(("value",), c)[0] for c in LEVELS])).all()


def test_rare_large_errors_make_no_interval_wider_by_a_tenth_at_any_level() -> None:
    """Of prices, nine in ten are small with small errors: the mean width is that of the few large ones."""
    parts = []
    for seed in range(3):
        draw = np.random.default_rng(seed)
        values = draw.lognormal(0, 1.5, 4000)
        parts.append(HeldOut(values[:, None], values + draw.laplace(0, 0.1 * values)))
    learnt, scored, fresh = parts
    scaled, plain = (score_values(scored, one, "split", exact=True) for one in (learnt, None))

    width = spread_at(scaled.spread, fresh.answers[:, 0]).mean()
    ratios = [width * scaled.limits(("value",), level)[0] / plain.limits(("value",), level)[0] for level in LEVELS]
    assert scaled.spread is not None
    assert max(ratios) <= 1.1
    assert min(ratios) < 0.7


def test_too_few_rows_or_rows_without_an_error_have_no_spread() -> None:
    few = noisy(150, 0, grows=True)
    assert learn_spread(few.answers[:, 0], np.abs(few.answers[:, 0] - few.y)) is None
    assert learn_spread(np.arange(1000.0), np.zeros(1000)) is None
    assert learn_spread(np.full(1000, 3.0), np.random.default_rng(0).random(1000)) is None


def test_coverage_is_counted_on_test_rows() -> None:
    scored, test = noisy(500, 0, grows=False), noisy(200, 1, grows=False)
    found = measure_coverage(score_values(scored, None, "split", exact=True), test, ())

    assert list(found.test_coverage) == ["0.8", "0.9", "0.95"]
    errors, scores = np.abs(test.answers[:, 0] - test.y), np.sort(np.abs(scored.answers[:, 0] - scored.y))
    by_hand = [int((errors <= scores[int(np.ceil(501 * level)) - 1]).sum()) for level in LEVELS]
    assert [found.test_coverage[f"{level:g}"] for level in LEVELS] == [(hits, 200) for hits in by_hand]
    assert measure_coverage(found, HeldOut(np.empty((0, 1)), np.empty(0)), ()).test_coverage == {}


def test_answers_of_a_few_values_have_a_spread_although_their_means_are_rounded() -> None:
    draw = np.random.default_rng(6)
    levels = draw.random(3) * 10  # as a table of one column with three categories has
    values = levels[draw.integers(0, 3, 2041)]

    found = learn_spread(values, np.abs(draw.standard_normal(len(values))) * values**2)

    assert found is not None
    assert found.values[-1] == pytest.approx(levels.max())
    assert found.spreads[0] < found.spreads[-1]
