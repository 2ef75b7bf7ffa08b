"""The sequential test: its closed form, its errors when looked at often, and its words."""

from __future__ import annotations

import functools
from fractions import Fraction
from itertools import accumulate
from math import comb

import numpy as np
import pytest
from scipy.integrate import quad

from app.feedback.sequential import NEEDED, Pairs, describe, evidence, judge

RUNS, MOST_PAIRS = 200, 500


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (0, 3), (7, 2), (30, 12), (200, 260)])
def test_evidence_is_the_mean_likelihood_ratio_over_chances_from_a_half_to_one(wins: int, losses: int) -> None:
    def ratio(chance: float) -> float:
        return float((2 * chance) ** wins * (2 * (1 - chance)) ** losses)

    mean = 2 * quad(ratio, 0.5, 1, epsabs=0, epsrel=1e-9, limit=200)[0]
    exact = Fraction(sum(comb(wins + losses + 1, k) for k in range(wins + 1)), comb(wins + losses, wins))

    assert evidence(wins, losses) == pytest.approx(mean, rel=1e-6)
    assert evidence(wins, losses) == pytest.approx(float(exact / (wins + losses + 1)), rel=1e-9)


def test_very_many_pairs_are_neither_an_error_nor_infinite() -> None:
    assert evidence(0, 100_000) < 1
    assert NEEDED < evidence(100_000, 0) < float("inf")


evidence_of = functools.cache(evidence)  # the runs share most of their counts


def decided_after(chance: float, seed: int) -> int | None:
    """Return after how many pairs, looked at one by one, a shadow that wins each with this chance is found better."""
    wins = (np.random.default_rng(seed).random(MOST_PAIRS) < chance).tolist()
    return next(
        (pairs for pairs, won in enumerate(accumulate(wins), 1) if evidence_of(won, pairs - won) >= NEEDED), None
    )


def test_of_200_shadows_that_are_no_better_at_most_16_are_promoted_however_often_one_looks() -> None:
    assert sum(decided_after(0.5, seed) is not None for seed in range(RUNS)) <= 16


def test_a_shadow_that_wins_70_percent_of_the_pairs_is_found_within_100_in_four_of_five_runs() -> None:
    found = [decided_after(0.7, seed) for seed in range(RUNS)]

    assert sum(after is not None and after <= 100 for after in found) >= 0.8 * RUNS


def test_verdict_and_words() -> None:
    assert [judge(pairs) for pairs in (Pairs(12, 1), Pairs(1, 12), Pairs(7, 6))] == ["better", "worse", "undecided"]
    assert describe(Pairs(7, 6)).startswith("it was right where the active version was wrong, or nearer, on 7 of 13")
    assert describe(Pairs(7, 6)).endswith("evidence 0.412, 20 is needed")
