"""Build the manifest of a version; `features.py` describes its columns.

It must not know the training loop or the store.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import GateReport, GoldenRows, Lineage, Manifest, OnnxFile, Signature, golden_row_limits
from modelstore.search import Search
from modelstore.tensors import OUTPUTS
from training.artifact.background import make_background
from training.artifact.features import describe_features
from training.artifact.onnx.opset import OPSET
from training.config.recipe import Recipe
from training.data.columns import cells_of
from training.data.dataset import Dataset, evenly_spread
from training.data.splits import Splits
from training.evaluation.candidate import Candidate
from training.learners.protocol import Predict

GOLDEN_SPREAD = 16
TOLERANCE = 1e-5
ROUNDING = 1e-6  # of an answer: some units in the last place of float32
LIBRARIES = ("torch", "numpy", "scikit-learn", "pandas")


def build_manifest(
    candidate: Candidate,
    recipe: Recipe,
    splits: Splits,
    model: bytes,
    *,
    golden: GoldenRows,
    gate: GateReport,
    job: str | None = None,
    search: Search | None = None,
    onnx: bytes | None = None,
    warnings: tuple[str, ...] = (),
) -> Manifest:
    """Return the manifest of a candidate whose files hold exactly the bytes of `model` and, if it has one, `onnx`."""
    return Manifest(
        name=recipe.model,
        description=recipe.description,
        created=datetime.now(UTC),
        sha256=hashlib.sha256(model).hexdigest(),
        size_bytes=len(model),
        **_describe_table(recipe, splits),
        golden=golden,
        metrics=dict(candidate.metrics),
        baselines=dict(candidate.baselines),
        leaders=candidate.leaders,
        search=search,
        gate=gate,
        warnings=warnings,
        temperature=candidate.temperature,
        decision=candidate.decision,
        conformal=candidate.conformal,
        abstain=recipe.abstain,
        background=make_background(splits.train),
        importance=candidate.importance,
        slices=candidate.slices,
        card=recipe.card,
        onnx=None if onnx is None else OnnxFile.of(onnx, OPSET),
        lineage=_describe_lineage(recipe, splits, parent=gate.active_version, job=job, stopped=candidate.stopped),
    )


def _describe_table(recipe: Recipe, splits: Splits) -> dict[str, Any]:
    """Return the fields of the manifest that say what goes into the model and what comes out of it."""
    train = splits.train
    return {
        "task": train.task,
        "signature": Signature.for_output(OUTPUTS[train.task], len(train.classes) or 1, cells=train.x.shape[1]),
        "features": describe_features(train, recipe.data.units, recipe.data.optional),
        "target": splits.target,
        "classes": train.classes,
        "left_out": splits.left_out,
        "missing_values": recipe.data.missing_texts,
        "strict": recipe.data.strict,
        "receipts": recipe.data.receipts,
    }


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
    kinds = (made, train.x[extremes[evenly_spread(len(extremes), most - 2 * spread - len(made))]], train.thin(spread).x)
    chosen = np.concatenate((*kinds, test.thin(spread).x))
    chosen = np.resize(chosen, (max(least, len(chosen)), train.x.shape[1]))  # (G, W)
    outputs = predict(chosen)
    features = tuple(tuple(None if math.isnan(cell) else cell for cell in row) for row in chosen.tolist())
    answers = tuple(map(tuple, outputs.tolist()))
    return GoldenRows(features=features, outputs=answers, tolerance=_tolerance(train, outputs))


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


def _describe_lineage(recipe: Recipe, splits: Splits, *, parent: int | None, job: str | None, stopped: bool) -> Lineage:
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
        stopped=stopped or None,
        feedback=splits.feedback,
    )


def _code_version() -> str:
    try:
        return importlib.metadata.version("tabserve")
    except importlib.metadata.PackageNotFoundError:
        return "unpackaged"
