"""Ranks of scores, on the edge of too few rows, and what is left of many scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modelstore.conformal import STEPS, rank_of, rows_for, score_at, thin


@pytest.mark.parametrize(("level", "fewest"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.55, 2)])
def test_a_level_needs_so_many_rows_and_no_fewer(level: float, fewest: int) -> None:
    assert rows_for(level) == fewest
    assert math.isfinite(score_at(level, list(range(fewest)), fewest))
    assert math.isinf(score_at(level, list(range(fewest - 1)), fewest - 1))


def test_ranks_are_exact_where_floating_point_numbers_are_not() -> None:
    assert [rank_of(level, rows) for level, rows in ((0.55, 99), (0.9, 9), (0.7, 9), (0.9, 1000))] == [55, 9, 7, 901]


@pytest.mark.parametrize("rows", [3, STEPS + 1])
def test_the_smallest_level_admits_the_smallest_score_and_the_largest_needs_more_rows(rows: int) -> None:
    scores = thin([float(number) for number in range(rows)])

    assert score_at(5e-324, scores, rows) == scores[0]
    assert math.isinf(score_at(1 - 1e-16, scores, rows))


@pytest.mark.parametrize("rows", [STEPS, STEPS + 1, 1000, 5000])
def test_few_scores_are_kept_of_many_and_none_of_them_is_too_small(rows: int) -> None:
    scores = np.sort(np.random.default_rng(rows).random(rows))
    kept = thin(scores.tolist())

    assert len(kept) == STEPS
    assert list(kept) == sorted(kept)
    for level in (*np.arange(0.01, 1, 0.01), 0.9005, 0.9985):
        whole, few = score_at(level, scores.tolist(), rows), score_at(level, kept, rows)
        nothing_between = rows == STEPS or math.isclose(level * STEPS, round(level * STEPS))
        assert whole <= few <= (whole * (1 + 2e-6) if nothing_between else whole + 0.01)


def test_a_kept_score_has_seven_digits_and_is_rounded_up() -> None:
    assert thin([0.0, 1 / 3, 0.99999999, 123456.789]) == (0.0, 0.3333334, 1.0, 123456.8)
