"""Waiting for something that happens in its own time, with a deadline instead of a guess."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

DEADLINE_S = 120.0


def until(look: Callable[[], Found | None], what: str, deadline_s: float = DEADLINE_S) -> Found:
    """Look again and again until there is something to see; what is false or empty means not yet."""
    last, pause_s = time.monotonic() + deadline_s, 0.005
    while time.monotonic() < last:
        if found := look():
            return found
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.05)  # a look may be a request, which takes longer than a short pause
    raise AssertionError(f"not within {deadline_s:g} s: {what}")
