"""Rates of a RealMLP's training as functions of the share t of it that is done, 0 to 1.

Source: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
Tabular Data", NeurIPS 2024, appendix A: `coslog4` and `flat_cos`.
"""

from __future__ import annotations

import math


def coslog4(t: float) -> float:
    """Return the factor of the learning rate: four cycles from 0 to 1 and back, each twice as long as the last."""
    return (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t))) / 2


def flat_cos(t: float) -> float:
    """Return the factor of dropout and weight decay: 1 for the first half, then along a cosine to 0."""
    return (1 + math.cos(math.pi * max(0.0, 2 * t - 1))) / 2
