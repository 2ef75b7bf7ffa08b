"""Build the manifest of a version; `features.py` describes its columns.

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
    MISSING_VALUES,
    AnyBaseline,
    AnyEvaluation,
    Decision,
    GateReport,
    GoldenRows,
    LeaderBoard,
    Lineage,
    Manifest,
    Signature,
    golden_row_limits,
)
from modelstore.manifest import OUTPUTS
from training.artifact.features import describe_features
from training.config.recipe import Recipe
from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.learners.protocol import Predict

GOLDEN_SPREAD = 16
TOLERANCE = 1e-5
ROUNDING = 1e-6  # of an answer: some units in the last place of float32
LIBRARIES = ("torch", "numpy", "scikit-learn", "pandas")


def build_manifest(
    recipe: Recipe,
    model: bytes,
    splits: Splits,
    *,
    golden: GoldenRows,
    metrics: Mapping[str, AnyEvaluation],
    baselines: Mapping[str, AnyBaseline],
    gate: GateReport,
    job: str | None,
    leaders: LeaderBoard | None = None,
    temperature: float | None = None,
    decision: Decision | None = None,
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
        task=train.task,
        signature=Signature.for_output(OUTPUTS[train.task], len(train.classes) or 1, cells=train.x.shape[1]),
        features=describe_features(train, recipe.data.units, recipe.data.optional),
        target=splits.target,
        classes=train.classes,
        left_out=splits.left_out,
        missing_values=MISSING_VALUES if recipe.data.missing_values is None else recipe.data.missing_values,
        strict=recipe.data.strict,
        golden=golden,
        metrics=dict(metrics),
        baselines=dict(baselines),
        leaders=leaders,
        gate=gate,
        warnings=warnings,
        temperature=temperature,
        decision=decision,
        lineage=describe_lineage(recipe, splits, parent=gate.active_version, job=job),
    )


def golden_rows(predict: Predict, train: Dataset, test: Dataset) -> GoldenRows:
    """Return golden rows, with the eager model's outputs, that verify a copy of the model.

    They are one row of missing cells only, one whose texts are no category, the training rows with the smallest and the
    largest value of each cell and those with a missing one, and rows spread evenly over the training and the test
    split; small data sets repeat rows. If rows are so wide that these would be too many, an evenly spread part of each
    kind is taken.
    """
    least, most = golden_row_limits(train.x.shape[1], len(train.classes) or 1)
    extremes = np.unique([place for column in train.x.T for place in _extremes(column)])
    spread = min(GOLDEN_SPREAD, most // 3)
    made = _made_rows(train)[: max(0, most - 2 * spread - 1)]
    kinds = (made, train.x[_evenly(extremes, most - 2 * spread - len(made))], _evenly(train.x, spread))
    chosen = np.concatenate((*kinds, _evenly(test.x, spread)))
    chosen = np.resize(chosen, (max(least, len(chosen)), train.x.shape[1]))  # (G, W)
    outputs = predict(chosen)
    features = tuple(tuple(None if math.isnan(cell) else cell for cell in row) for row in chosen.tolist())
    return GoldenRows(features=features, outputs=_nest(outputs), tolerance=_tolerance(train, outputs))


def _extremes(column: npt.NDArray[np.float32]) -> list[int]:
    """Return the rows with the smallest and the largest value of a cell, and one without a value, if there are any."""
    missing = np.isnan(column)
    if missing.all():
        return [0]
    ends = [int(np.nanargmin(column)), int(np.nanargmax(column))]
    return [*ends, int(missing.argmax())] if missing.any() else ends


def _made_rows(train: Dataset) -> npt.NDArray[np.float32]:
    """Return a row of missing cells and, if there are categories, the first row with "other" in each of them."""
    missing, other = np.full_like(train.x[0], np.nan), train.x[0].copy()
    for column, cells in zip(train.columns, cells_of(train.columns), strict=True):
        if column.type == "categorical":
            other[cells] = len(column.texts)
    has_texts = any(column.type == "categorical" for column in train.columns)
    return np.stack([missing, other] if has_texts else [missing])


def _tolerance(train: Dataset, outputs: npt.NDArray[np.floating[Any]]) -> float:
    """Return how far a copy's answers may lie: 1e-5 of a probability or of a quantity's spread, and its rounding."""
    if train.task == "classification":
        return TOLERANCE
    return float(TOLERANCE * train.y.std() + ROUNDING * np.abs(outputs).max()) or TOLERANCE


def describe_lineage(recipe: Recipe, splits: Splits, *, parent: int | None, job: str | None) -> Lineage:
    """Return the lineage: everything needed to train the version again."""
    return Lineage(
        recipe=recipe.model_dump(mode="json"),
        seed=recipe.training.seed,
        data_sha256=splits.sha256,
        dialects=dict(splits.dialects),
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
