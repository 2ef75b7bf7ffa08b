"""Test whether a shadow is better than the active version; may be repeated at any time.

Only discordant pairs count: labelled rows of which one of the two versions was right and the other wrong, or nearer to
the true quantity. This module must not know HTTP or a database.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

NEEDED = 20.0  # evidence that decides: where neither is better, it is ever reached in at most 1 of 20 comparisons

Verdict = Literal["better", "worse", "undecided"]


class Pairs(NamedTuple):
    """Discordant pairs, by the version that was right, or nearer."""

    shadow: int
    active: int


def evidence(wins: int, losses: int) -> float:
    """Return the evidence for a version that won and lost so many pairs; it is always finite.

    It is the likelihood of the pairs where the version wins with a probability drawn uniformly from 1/2 to 1, over that
    where it is 1/2. While it wins with probability 1/2 or less, whatever came before, this is a non-negative
    supermartingale that begins at 1, so by Ville's inequality it ever reaches 20 with probability 1/20 at most,
    however often one looks. In closed form, with n = wins + losses: the sum of the binomial coefficients of n + 1 over
    0 to `wins`, divided by (n + 1) times the coefficient of n over `wins`.

    Source: Ville, Étude critique de la notion de collectif, 1939; Robbins, Ann. Math. Stat. 41, 1970 (mixtures).
    """
    pairs = wins + losses
    over = np.arange(1, wins + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((pairs + 2 - over) / over))])  # of the coefficients of n + 1
    largest = float(logs.max())
    total = largest + math.log(float(np.exp(logs - largest).sum()))
    coefficient = math.lgamma(pairs + 1) - math.lgamma(wins + 1) - math.lgamma(losses + 1)
    return math.exp(min(total - math.log(pairs + 1) - coefficient, 709.0))


def judge(pairs: Pairs) -> Verdict:
    """Return what the pairs say about the shadow."""
    if evidence(pairs.shadow, pairs.active) >= NEEDED:
        return "better"
    return "worse" if evidence(pairs.active, pairs.shadow) >= NEEDED else "undecided"


def describe(pairs: Pairs) -> str:
    """Return the figures of the test in words, as the end of a sentence about the shadow."""
    found = evidence(pairs.shadow, pairs.active)
    return (
        f"it was right where the active version was wrong, or nearer, on {pairs.shadow} of {sum(pairs)} labelled rows "
        f"that tell them apart; evidence {found:.3g}, {NEEDED:g} is needed"
    )
