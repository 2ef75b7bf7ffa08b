"""Ranks of conformal scores: which score admits a share of new rows, and which are kept.

It must not know models, or how scores are computed.

Source: Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005, section 4.2: of n rows and a new one
that are exchangeable, the new score is at most the ceil((n + 1) c)-th smallest with a probability of at least c.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, Context

STEPS = 500  # so many scores are kept of more rows: those of the levels 1/500, 2/500, ..., and the largest
_SHORT = Context(prec=7, rounding=ROUND_CEILING)
_DIGITS = 9  # without rounding, 0.55 * 100 would be a little more than 55


def rank_of(level: float, rows: int) -> int:
    """Return the rank, from 1, of the score that a level needs among `rows` ascending scores.

    It is more than `rows` if there are too few scores.
    """
    return max(1, math.ceil(round((rows + 1) * level, _DIGITS)))


def rows_for(level: float) -> int:
    """Return the smallest number of scored rows that a level below 1 needs."""
    return math.ceil(round(level / (1 - level), _DIGITS))


def score_at(level: float, scores: Sequence[float], rows: int) -> float:
    """Return the largest score that a set of this level admits; infinity if the rows are too few for it.

    Args:
        level: share of new rows whose truth is to be in the set, above 0 and below 1.
        scores: ascending, all of the rows or those that `thin` keeps.
        rows: number of rows that had scores.
    """
    rank = rank_of(level, rows)
    if rank > rows:
        return math.inf
    if len(scores) == rows:
        return scores[rank - 1]
    return scores[max(1, math.ceil(round(level * STEPS, _DIGITS))) - 1]


def thin(scores: Sequence[float]) -> tuple[float, ...]:
    """Reduce ascending scores to at most 500.

    Levels that are multiples of 1/500 keep their exact score; between them, scores are never too small.
    """
    rows = len(scores)
    if rows <= STEPS:
        kept = list(scores)
    else:
        kept = [scores[rank_of(step / STEPS, rows) - 1] for step in range(1, STEPS)] + [scores[-1]]
    return tuple(map(_round_up, kept))


def _round_up(score: float) -> float:
    """Return a score with seven digits, not smaller than it was, so that sets do not shrink."""
    return float(_SHORT.create_decimal_from_float(score))
