"""Input and output schema of a model version, prepared for the hot path.

This module must not know torch or HTTP.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from modelstore import Manifest
from modelstore.reading import column_name, repeated

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ModelSchema:
    """Names and ranges of the features, and names of the classes.

    Attributes:
        features: feature names in column order, length F.
        columns: feature name to column.
        low: smallest training value of each feature, shape (F,), float32.
        high: largest training value of each feature, shape (F,), float32.
        classes: class names in output order, length K.
    """

    name: str
    version: int
    features: tuple[str, ...]
    columns: dict[str, int]
    low: Float32
    high: Float32
    classes: tuple[str, ...]

    @property
    def expectation(self) -> str:
        """Description of a valid row, for error messages."""
        return f"{self.name} expects {len(self.features)} features per row; see GET /models/{self.name}"

    def recognised(self, names: Iterable[str]) -> list[str]:
        """Return the names, with feature names in the model's spelling.

        A name matches a feature if they differ only in surrounding blanks or in the composition of accents. An exact
        match wins, because the feature names of an old version may differ in nothing else.
        """
        features = _by_column_name(self)
        return [name if name in self.columns else features.get(known := column_name(name), known) for name in names]

    @classmethod
    def of(cls, manifest: Manifest, version: int) -> Self:
        """Create the schema of a published version from its manifest."""
        features = manifest.feature_names
        return cls(
            name=manifest.name,
            version=version,
            features=features,
            columns={feature: column for column, feature in enumerate(features)},
            low=np.array([feature.min for feature in manifest.features], dtype=np.float32),
            high=np.array([feature.max for feature in manifest.features], dtype=np.float32),
            classes=manifest.classes,
        )


@functools.lru_cache(maxsize=256)
def _by_column_name(schema: ModelSchema) -> dict[str, str]:
    names = [column_name(feature) for feature in schema.features]
    unclear = repeated(names)
    return {name: feature for name, feature in zip(names, schema.features, strict=True) if name not in unclear}
