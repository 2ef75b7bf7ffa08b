"""Number of examples of property tests: the same few by default, many new ones in the long form."""

from __future__ import annotations

import os

import hypothesis

from tests.faults.scenes import rounds
from tests.promises import LONG

TIMES_LONGER = 50
TIMES_SHORTER = 1 if LONG or os.environ.get("CI") else 3


def examples(count: int) -> hypothesis.settings:
    """Return settings for this number of examples in CI, a third of it by hand, fifty times it in the long form."""
    return hypothesis.settings(
        max_examples=rounds(count, TIMES_LONGER * count) // TIMES_SHORTER,
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
