"""Build the manifest of a version: features, golden rows, lineage.

It must not know the training loop or the store.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import (
    Baseline,
    Evaluation,
    GateReport,
    GoldenRows,
    Lineage,
    Manifest,
    NumericFeature,
    Signature,
    golden_row_limits,
)
from modelstore.manifest import OUTPUTS
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.learners.protocol import Predict
from training.preprocessing.scaler import moments

DECILES = tuple(tenth / 10 for tenth in range(1, 10))
GOLDEN_SPREAD = 16
LIBRARIES = ("torch", "numpy", "scikit-learn", "pandas")


def build_manifest(
    recipe: Recipe,
    model: bytes,
    splits: Splits,
    *,
    golden: GoldenRows,
    metrics: Mapping[str, Evaluation],
    baselines: Mapping[str, Baseline],
    gate: GateReport,
    job: str | None,
    warnings: tuple[str, ...] = (),
) -> Manifest:
    """Return the manifest of a version whose `model.pt` holds exactly the bytes of `model`."""
    train = splits.train
    return Manifest(
        name=recipe.model,
        description=recipe.description,
        created=datetime.now(UTC),
        sha256=hashlib.sha256(model).hexdigest(),
        size_bytes=len(model),
        signature=Signature.for_output(OUTPUTS["classification"], len(train.classes), cells=len(train.features)),
        features=describe_features(train, recipe.data.units),
        target=splits.target,
        classes=train.classes,
        left_out=splits.left_out,
        golden=golden,
        metrics=dict(metrics),
        baselines=dict(baselines),
        gate=gate,
        warnings=warnings,
        lineage=describe_lineage(recipe, splits.sha256, parent=gate.active_version, job=job),
    )


def describe_features(train: Dataset, units: Mapping[str, str]) -> tuple[NumericFeature, ...]:
    """Return the unit and the training-split statistics of each column; std has ddof = 0.

    Range and deciles are the shortest decimals that read back as the same float32: 4.3, not 4.300000190734863.
    """
    mean, variance = moments(train.x)
    ascending = (np.sort(column) for column in train.x.T)  # one at a time; sorting is faster than np.quantile
    return tuple(
        NumericFeature(
            name=name,
            unit=units.get(name, ""),
            mean=float(mean[position]),
            std=math.sqrt(variance[position]),
            min=_shortest(column[0]),
            max=_shortest(column[-1]),
            quantiles=_deciles(column),
        )
        for position, (name, column) in enumerate(zip(train.features, ascending, strict=True))
    )


def _deciles(column: npt.NDArray[np.float32]) -> tuple[float, ...]:
    """Return the nine inner deciles of one sorted column (N,), ascending, interpolated as `np.quantile` does."""
    positions = np.array(DECILES) * (len(column) - 1)
    below = positions.astype(np.int64)
    low, high = column[below].astype(np.float64), column[np.minimum(below + 1, len(column) - 1)].astype(np.float64)
    deciles = np.maximum.accumulate((low + (high - low) * (positions - below)).astype(np.float32))
    # interpolation may round slightly past a neighbour
    return tuple(_shortest(value) for value in deciles.clip(column[0], column[-1]))


def _shortest(value: np.float32) -> float:
    return float(str(value))


def golden_rows(predict: Predict, train: Dataset, test: Dataset) -> GoldenRows:
    """Return golden rows, with the eager model's probabilities, that verify a copy of the model.

    They are the training rows with the smallest and the largest value of each feature, and rows spread evenly over
    the training and the test split; small data sets repeat rows. If rows are so wide that these would be too many, an
    evenly spread part of each kind is taken.
    """
    least, most = golden_row_limits(train.x.shape[1], len(train.classes))
    extremes = np.unique([place for column in train.x.T for place in (column.argmin(), column.argmax())])
    spread = min(GOLDEN_SPREAD, most // 3)
    kinds = (train.x[_evenly(extremes, most - 2 * spread)], _evenly(train.x, spread), _evenly(test.x, spread))
    chosen = np.concatenate(kinds)
    chosen = np.resize(chosen, (max(least, len(chosen)), train.x.shape[1]))  # (G, F)
    exact = chosen.astype(np.float32).astype(np.float64)
    return GoldenRows(features=_nest(exact), outputs=_nest(predict(exact)))


def describe_lineage(recipe: Recipe, data_sha256: dict[str, str], *, parent: int | None, job: str | None) -> Lineage:
    """Return the lineage: everything needed to train the version again."""
    return Lineage(
        recipe=recipe.model_dump(mode="json"),
        seed=recipe.training.seed,
        data_sha256=data_sha256,
        libraries={name: importlib.metadata.version(name) for name in LIBRARIES},
        code=_code_version(),
        parent=parent,
        job=job,
    )


def _evenly(values: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """Return at most `most` values, evenly spread along the first axis."""
    return values[np.unique(np.linspace(0, len(values) - 1, most).astype(np.int64))]


def _nest(values: npt.NDArray[np.floating[Any]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in values.tolist())


def _code_version() -> str:
    try:
        return importlib.metadata.version("tabserve")
    except importlib.metadata.PackageNotFoundError:
        return "unpackaged"
