"""Number of examples of property tests: the same few by default, many new ones in the long form."""

from __future__ import annotations

import hypothesis

from tests.faults.scenes import rounds
from tests.promises import LONG

TIMES_LONGER = 150


def examples(count: int) -> hypothesis.settings:
    """Return settings for this number of examples, and for 150 times as many in the long form."""
    return hypothesis.settings(
        max_examples=rounds(count, TIMES_LONGER * count),
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
