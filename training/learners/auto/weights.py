"""Choose the weights of a blend on answers for rows that its members have not seen.

It must not know learners. M is members, N rows and K outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from training.data.repeats import Marks
from training.evaluation.intervals import standard_error
from training.evaluation.metrics import Floats

ROUNDS = 25
MOST_MEMBERS = 3
SINGLE_ERRORS, BLEND_ERRORS = 2.0, 1.0  # standard errors by which a member, and a blend, must be better

RowLosses = Callable[[Floats], Floats]
"""Function from answers (N, K) to the loss of each row, (N,)."""


def choose_weights(answers: Sequence[Floats], row_losses: RowLosses, groups: Marks | None = None) -> tuple[float, ...]:
    """Return the share of each member: a single one, unless a blend is better by more than one standard error.

    The single one is the first that is not worse than the best by more than two standard errors: the same rows stopped
    the training of most members, so the least of their losses is too small by chance, and what is stopped less comes
    first. A single one answers faster than a blend.

    Args:
        answers: answers of each member for the same rows, (N, K).
        row_losses: the loss to make small.
        groups: marks of the rows' groups, (N,), if groups are held out; standard errors are of these.
    """

    def is_beyond_chance(gains: Floats, errors: float) -> bool:
        """Return whether the mean of the rows' gains is above zero by more than so many of its standard errors."""
        return len(gains) > 1 and bool(gains.mean() > errors * standard_error(gains, groups))

    weights = _select(answers, row_losses)
    losses = [row_losses(answer) for answer in answers]
    best = losses[int(np.argmin([loss.mean() for loss in losses]))]
    single = next(member for member, loss in enumerate(losses) if not is_beyond_chance(loss - best, SINGLE_ERRORS))
    if is_beyond_chance(losses[single] - row_losses(mix(answers, weights)), BLEND_ERRORS):
        return weights
    return tuple(float(member == single) for member in range(len(answers)))


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
