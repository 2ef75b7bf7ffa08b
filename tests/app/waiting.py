"""Waiting for something that happens in its own time, with a deadline instead of a guess."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

DEADLINE_S = 120.0
# A look may be a request, which takes longer than a short pause, and costs what is waited for its processor.
LONGEST_PAUSE_S, LATER_PAUSE_S, SHARE = 0.05, 0.3, 0.03


def until(look: Callable[[], Found | None], what: str, deadline_s: float = DEADLINE_S) -> Found:
    """Look again and again until there is something to see; what is false or empty means not yet.

    What takes seconds is looked for less often, so that it is seen late by a small share of the time that it took.
    """
    began, pause_s = time.monotonic(), 0.005
    while (waited_s := time.monotonic() - began) < deadline_s:
        if found := look():
            return found
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, max(LONGEST_PAUSE_S, min(SHARE * waited_s, LATER_PAUSE_S)))
    raise AssertionError(f"not within {deadline_s:g} s: {what}")
