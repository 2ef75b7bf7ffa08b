"""Describe the columns of a model as rows of a table.

It must not know how a card is written.
"""

from __future__ import annotations

from collections.abc import Iterable

from modelstore import BooleanFeature, CategoricalFeature, Feature, NumericFeature

MOST_CATEGORIES = 5


def columns_of(features: Iterable[Feature]) -> list[tuple[str, str, str, str, str]]:
    """Return name, type, unit, range or values, and number of gaps in the training rows of each feature."""
    return [(one.name, one.type, one.unit, values_of(one), str(one.missing)) for one in features]


def values_of(feature: Feature) -> str:
    """Return what the training rows have in a column: a range, or the most frequent values with their rows."""
    if isinstance(feature, CategoricalFeature):
        counts = [f"{name} ({rows})" for name, rows in feature.categories.items()]
        more = len(counts) - MOST_CATEGORIES
        rest = [f"{more} more"] if more > 0 else []
        return ", ".join([*counts[:MOST_CATEGORIES], *rest, *([f"other ({feature.other})"] if feature.other else [])])
    if isinstance(feature, BooleanFeature):
        return f"{feature.true_values[0]} ({feature.true}), {feature.false_values[0]} ({feature.false})"
    if isinstance(feature, NumericFeature):
        return f"{feature.min:.6g} to {feature.max:.6g}, mean {feature.mean:.6g}"
    return f"{feature.min} to {feature.max}"
