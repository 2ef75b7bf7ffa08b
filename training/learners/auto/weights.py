"""Choose the weights of a blend on answers for rows that its members have not seen.

It must not know learners. M is members, N rows and K outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.evaluation.metrics import Floats
from training.learners.auto.temperature import is_beyond_chance

ROUNDS = 25
MOST_MEMBERS = 3

RowLosses = Callable[[Floats], Floats]
"""Function from answers (N, K) to the loss of each row, (N,)."""


def choose_weights(answers: Sequence[Floats], row_losses: RowLosses) -> tuple[float, ...]:
    """Return the share of each member: a single one, unless a blend is better by more than one standard error.

    Of several single members, it is the one with the least loss; a single one answers faster than a blend. Of equal
    losses, the earlier member's counts.

    Args:
        answers: answers of each member for the same rows, (N, K).
        row_losses: the loss to make small.
    """
    weights = _select(answers, row_losses)
    losses = [row_losses(answer) for answer in answers]
    best = int(np.argmin([loss.mean() for loss in losses]))
    if is_beyond_chance(losses[best] - row_losses(mix(answers, weights))):
        return weights
    return tuple(float(member == best) for member in range(len(answers)))


def mix(answers: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return the weighted mean of the members' answers, (N, K)."""
    mixed: Floats = np.einsum("m,mnk->nk", np.asarray(weights), np.stack(answers))
    return mixed


def _select(answers: Sequence[Floats], row_losses: RowLosses) -> tuple[float, ...]:
    """Return the weights of a greedy selection with replacement, of at most `MOST_MEMBERS` members.

    Each round adds the member with which the mean of all that were added so far has the least loss; the weights are
    the shares of the round with the least loss.

    Source: Caruana, Niculescu-Mizil, Crew & Ksikes, "Ensemble Selection from Libraries of Models", ICML 2004,
    sections 2 and 2.1.
    """
    total, counts = np.zeros_like(answers[0], dtype=np.float64), np.zeros(len(answers), dtype=np.int64)
    best, chosen = np.inf, counts
    for size in range(1, ROUNDS + 1):
        full = np.count_nonzero(counts) == MOST_MEMBERS
        allowed = [member for member in range(len(answers)) if counts[member] or not full]
        losses = [float(row_losses((total + answers[member]) / size).mean()) for member in allowed]
        added = allowed[int(np.argmin(losses))]
        total += answers[added]
        counts = counts + np.eye(len(answers), dtype=np.int64)[added]
        if min(losses) < best:
            best, chosen = min(losses), counts
    return tuple((chosen / chosen.sum()).tolist())
