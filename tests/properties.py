"""Number of examples of property tests: few by default, more in CI, many in the long form."""

from __future__ import annotations

import os

import hypothesis

from tests.faults.scenes import rounds
from tests.promises import LONG

TIMES_LONGER = 150


def examples(count: int) -> hypothesis.settings:
    """Return settings for this number of examples in CI, half as many elsewhere, 150 times as many in the long form."""
    few = count if os.environ.get("CI") else count // 2
    return hypothesis.settings(
        max_examples=rounds(few, TIMES_LONGER * count),
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
