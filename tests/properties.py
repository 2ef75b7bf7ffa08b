"""How often tests of properties try: the same few examples each time, and many new ones in the long form."""

from __future__ import annotations

import hypothesis

from tests.faults.scenes import rounds
from tests.promises import LONG

TIMES_LONGER = 50


def examples(count: int) -> hypothesis.settings:
    """Return the settings of a property that so many examples show, or fifty times as many in the long form."""
    return hypothesis.settings(
        max_examples=rounds(count, TIMES_LONGER * count),
        deadline=None,
        derandomize=not LONG,
        database=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
