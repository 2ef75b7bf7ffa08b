"""Translate the cells of one version's rows for another version that takes the same columns.

The order of the columns and the categories of a text may differ. This module must not know body formats.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from app.schema import Float32, ModelSchema
from modelstore import BooleanFeature, CategoricalFeature, Feature

Translate = Callable[[Float32], Float32]


def make_translator(source: ModelSchema, target: ModelSchema) -> Translate | None:
    """Return what turns cells of `source`, (N, W), into those of `target`; None if they are the same.

    A text that is no category of `source` is none of `target` either: its cell does not say which it was.
    """
    places: list[int] = []
    codes: dict[int, Float32] = {}  # of cells of `target`, by cell
    for feature in target.types:
        column = source.columns[feature.name]
        before, start = source.types[column], source.starts[column]
        if (found := _codes(before, feature)) is not None:
            codes[len(places)] = found
        places += range(start, start + feature.width)
    if not codes and places == [*range(source.width)]:
        return None

    def translate(x: Float32) -> Float32:
        """Return cells (N, W) of the source as cells (N, V) of the target."""
        cells = x[:, places]
        for cell, known in codes.items():
            column = cells[:, cell]
            there = ~np.isnan(column)
            column[there] = known[column[there].clip(0, len(known) - 1).astype(np.int64)]
        return cells

    return translate


def _codes(before: Feature, after: Feature) -> Float32 | None:
    """Return the code of `after` for each code of `before`; None if they are the same, or cells are no codes."""
    match before, after:
        case CategoricalFeature(), CategoricalFeature():
            positions = {text: code for code, text in enumerate(after.categories)}
            texts = list(before.categories)
            codes = [*(positions.get(text, len(positions)) for text in texts), len(positions)]
            return None if texts == list(positions) else np.array(codes, dtype=np.float32)
        case BooleanFeature(), BooleanFeature() if set(before.true_values) & set(after.false_values):
            return np.array([1, 0], dtype=np.float32)
    return None
