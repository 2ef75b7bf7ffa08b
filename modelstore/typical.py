"""A typical raw row of a model, made from the statistics in its manifest.

It must not know how requests are read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import date
from typing import Any

from modelstore.dates import EPOCH, FIRST_DAY, LAST_DAY
from modelstore.features import BooleanFeature, CategoricalFeature, DatetimeFeature, NumericFeature
from modelstore.manifest import Manifest

RawValue = float | str | bool

_MEDIAN = 4  # of the nine inner deciles
_JSON: dict[str, RawValue] = {"true": True, "false": False, "1": 1, "0": 0}


def typical_row(manifest: Manifest) -> dict[str, RawValue]:
    """Return the median or most frequent value of each feature, by name, as a JSON request takes them."""
    return {feature.name: _VALUES[feature.type](feature) for feature in manifest.features}


def _median(feature: NumericFeature) -> float:
    """Return the median with the fewest digits that are the same float32."""
    median = feature.quantiles[_MEDIAN]
    wanted = struct.pack("f", median)
    shortest = (float(f"{median:.{digits}g}") for digits in range(1, 10))
    return next((value for value in shortest if _is_float32(value, wanted)), median)


def _is_float32(value: float, wanted: bytes) -> bool:
    try:
        return struct.pack("f", value) == wanted
    except OverflowError:  # rounded up beyond the largest float32
        return False


def _most_frequent(feature: CategoricalFeature) -> str:
    return max(feature.categories, key=lambda text: feature.categories[text])


def _more_frequent(feature: BooleanFeature) -> RawValue:
    text = (feature.true_values if feature.true > feature.false else feature.false_values)[0]
    return _JSON.get(text.lower(), text)


def _median_time(feature: DatetimeFeature) -> str:
    """Return the median day in ISO 8601, with a time if the training file has times."""
    days = min(max(int(feature.quantiles[_MEDIAN]), FIRST_DAY), LAST_DAY)  # a foreign manifest may have any number
    day = date.fromordinal(EPOCH + days).isoformat()
    return f"{day}T00:00:00" if ":" in feature.min + feature.max else day


_VALUES: dict[str, Callable[[Any], RawValue]] = {
    "numeric": _median,
    "categorical": _most_frequent,
    "boolean": _more_frequent,
    "datetime": _median_time,
}
