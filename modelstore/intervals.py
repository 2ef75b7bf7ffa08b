"""Intervals of 95 % of a figure and of a share, by formula.

It must not know what the figures are of.
"""

from __future__ import annotations

import math

TWO_SIDED = 1.96  # standard errors on each side of a figure

Limits = tuple[float, float]


def interval(value: float, standard_error: float, most: float = math.inf) -> Limits:
    """Return the interval of 95 % of a figure with this standard error, between 0 and `most`."""
    reach = TWO_SIDED * standard_error
    return max(0.0, value - reach), min(most, value + reach)


def wilson(share: float, rows: int) -> Limits:
    """Return the interval of 95 % of a share of rows.

    Source: Wilson, J. Am. Stat. Assoc. 22, 1927; it is not empty for shares of 0 and 1.
    """
    weight = TWO_SIDED**2 / rows
    middle = (share + weight / 2) / (1 + weight)
    reach = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return max(0.0, middle - reach), min(1.0, middle + reach)
