"""Describe columns of training rows for the manifest, and read a manifest's columns back.

It must not know models.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import BooleanFeature, CategoricalFeature, DatetimeFeature, Feature, Manifest, NumericFeature
from modelstore.reading import column_name
from training.data.columns import Column, cells_of
from training.data.dataset import Dataset
from training.learners.protocol import Predict
from training.preprocessing.categories import recode
from training.preprocessing.scaler import compute_moments

DECILES = tuple(tenth / 10 for tenth in range(1, 10))
EPOCH = datetime.datetime(1970, 1, 1)

Cells = npt.NDArray[np.float32]


def describe_features(train: Dataset, units: Mapping[str, str], optional: Collection[str] = ()) -> tuple[Feature, ...]:
    """Return the type, the unit and the training-split statistics of each column's present values; std has ddof = 0.

    Requests need not name the optional columns.

    Range and deciles are the shortest decimals that read back as the same float32: 4.3, not 4.300000190734863. A column
    without any value in the training rows has zeros, or the first day of 1970.
    """
    mean, variance = compute_moments(train.x)  # (W,)
    features = []
    for column, cells in zip(train.columns, cells_of(train.columns), strict=True):
        present = train.x[~np.isnan(train.x[:, cells.start]), cells]  # (n, 1) or (n, 2)
        common = {"name": column.name, "unit": units.get(column.name, ""), "missing": len(train) - len(present)}
        common["required"] = column.name not in optional
        if column.type == "numeric":
            spread = math.sqrt(variance[cells.start])
            common |= {"mean": float(mean[cells.start]), "std": spread, "reading": column.reading}
        features.append(_describe(column, present, common))
    return tuple(features)


def columns_of(features: Iterable[Feature]) -> tuple[Column, ...]:
    """Return the columns whose cells a version expects."""
    return tuple(
        Column(column_name(feature.name), feature.type, _texts(feature))  # old manifests have names as in the file
        for feature in features
    )


def suits(manifest: Manifest, rows: Dataset, target: str) -> bool:
    """Return whether a version predicts this target of such rows: it has their columns, in any order, and classes."""
    ours, theirs = (
        sorted((column.name, column.type) for column in side) for side in (columns_of(manifest.features), rows.columns)
    )
    is_same = manifest.target is None or manifest.target.name == target
    return is_same and ours == theirs and manifest.classes == rows.classes


def translate(predict: Predict, before: tuple[Column, ...], after: tuple[Column, ...]) -> Predict:
    """Return a model of the columns `after` as a function of cells of `before`, whose order and texts may differ."""
    if [(column.name, column.texts) for column in before] == [(column.name, column.texts) for column in after]:
        return predict
    known = {column.name: (column, cells) for column, cells in zip(before, cells_of(before), strict=True)}
    ordered = tuple(known[column.name][0] for column in after)
    places = np.r_[tuple(known[column.name][1] for column in after)]

    def predict_translated(x: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Predict rows of the columns `before`, (N, W), with the cells of `after`."""
        cells = np.ascontiguousarray(x[:, places], dtype=np.float32)  # a copy
        recode(cells, ordered, after)
        return predict(cells)

    return predict_translated


def _texts(feature: Feature) -> tuple[str, ...]:
    match feature:
        case CategoricalFeature():
            return tuple(feature.categories)
        case BooleanFeature():
            return feature.false_values[0], feature.true_values[0]
        case _:
            return ()


def _describe(column: Column, present: Cells, common: dict[str, Any]) -> Feature:
    first = np.sort(present[:, 0])  # sorting is faster than np.quantile
    match column.type:
        case "numeric":
            low, high = (_shortest(first[0]), _shortest(first[-1])) if len(first) else (0.0, 0.0)
            return NumericFeature(**common, min=low, max=high, quantiles=_deciles(first))
        case "categorical":
            counts = np.bincount(first.astype(np.int64), minlength=len(column.texts) + 1).tolist()
            return CategoricalFeature(
                **common, categories=dict(zip(column.texts, counts[:-1], strict=True)), other=counts[-1]
            )
        case "boolean":
            no, yes = column.texts
            true = int(first.sum())
            return BooleanFeature(**common, true_values=(yes,), false_values=(no,), true=true, false=len(first) - true)
        case "datetime":
            order = np.lexsort((present[:, 1], present[:, 0]))
            earliest, latest = (present[order[0]], present[order[-1]]) if len(order) else (np.zeros(2), np.zeros(2))
            has_times = bool(present[:, 1].any())
            return DatetimeFeature(
                **common,
                format=column.format,
                min=_iso(earliest, has_times),
                max=_iso(latest, has_times),
                quantiles=_deciles(first),
            )


def _iso(cells: npt.NDArray[np.floating[Any]], has_times: bool) -> str:
    """Return the time of two cells in ISO 8601; a date alone if the column has no times of day."""
    time = EPOCH + datetime.timedelta(days=int(cells[0]), seconds=float(cells[1]))
    return time.isoformat() if has_times else time.date().isoformat()


def _deciles(column: Cells) -> tuple[float, ...]:
    """Return the nine inner deciles of one sorted column (N,), ascending, interpolated as `np.quantile` does."""
    if not len(column):
        return (0.0,) * len(DECILES)
    positions = np.array(DECILES) * (len(column) - 1)
    below = positions.astype(np.int64)
    low, high = column[below].astype(np.float64), column[np.minimum(below + 1, len(column) - 1)].astype(np.float64)
    deciles = np.maximum.accumulate((low + (high - low) * (positions - below)).astype(np.float32))
    # interpolation may round slightly past a neighbour
    return tuple(_shortest(value) for value in deciles.clip(column[0], column[-1]))


def _shortest(value: np.float32) -> float:
    return float(str(value))
