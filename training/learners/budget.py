"""How long a training may take; learners turn the seconds into row visits or trees.

It must not know learners.
"""

from __future__ import annotations

import time
from collections.abc import Callable

SMALL_ROWS, SMALL_S = 20_000, 60.0
MEDIUM_ROWS, MEDIUM_S = 100_000, 180.0
GROWTH = 0.25  # beyond, ten times the rows get 1.8 times the seconds
PATIENCE = 3.0


def default_budget_s(rows: int) -> float:
    """Return the seconds that a training on this number of rows may take: a function of the rows alone."""
    if rows <= SMALL_ROWS:
        return SMALL_S
    return float(MEDIUM_S * max(1.0, rows / MEDIUM_ROWS) ** GROWTH)


REQUESTED = "as requested"
TOO_SLOW = "because it took three times budget_s: this machine is slower or busier than planned for"

ShouldEnd = Callable[[], bool]
"""Function that returns whether the training is requested to end soon, with what it has learnt so far."""


def never() -> bool:
    """Return that the training goes on to its own end."""
    return False


class TimeLimit:
    """The last resort against a machine far slower than the one on which costs were measured.

    A learner plans its work from the budget, not from a clock, so that the same seed gives the same bits. Only when
    three times the budget have passed, the clock ends it; a request to finish ends it at once.
    """

    def __init__(self, budget_s: float, should_end: ShouldEnd = never) -> None:
        self._ends_s, self._should_end = time.monotonic() + PATIENCE * budget_s, should_end

    def why_over(self) -> str:
        """Return why a training must end now, as a phrase; empty if it may go on."""
        if self._should_end():
            return REQUESTED
        return TOO_SLOW if time.monotonic() > self._ends_s else ""
