"""Measure the active version beside a candidate, on test rows that it has not seen."""

from __future__ import annotations

import numpy as np

from modelstore import ModelRepository, StoreError
from training.artifact import seen_rows, torchscript
from training.artifact.features import columns_of, suits, translate
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.evaluation import gate
from training.evaluation.task import mean_gain, measure, pieces_of
from training.learners.protocol import Predict
from training.outcome import sentence


def measure_champion(
    repository: ModelRepository, name: str, splits: Splits, candidate: Predict
) -> gate.Champion | None:
    """Measure the active version beside a candidate on the test rows that it has not seen; None if none is active."""
    version, test = repository.active(name), splits.test
    if version is None:
        return None
    try:
        found = repository.find(name, version)
        manifest = found.manifest()
        if not suits(manifest, test, splits.target.name):
            problem = "has other features or classes, or another target; activate by hand if you mean it"
            return gate.Champion(version, problem=problem, other=True)
        if not manifest.takes_missing and np.isnan(test.x).any():
            return gate.Champion(version, problem="cannot answer rows with missing values")
        model = torchscript.load(found.model_bytes(manifest))
        predict = translate(model, test.columns, columns_of(manifest.features))
        unseen = seen_rows.find_unseen(found, test)
        judged = test if unseen is None or len(unseen) == len(test) else test.rows(unseen)
        if not len(judged):
            return gate.Champion(version, problem="was trained on every test row of this table; add rows to it")
        seen = None if unseen is None else len(test) - len(judged)
        return _contest(version, candidate, predict, judged, seen)
    except (StoreError, RuntimeError) as error:
        return gate.Champion(version, problem=f"is broken: {sentence(error)}", broken=True)


def _contest(version: int, candidate: Predict, active: Predict, rows: Dataset, seen: int | None) -> gate.Champion:
    """Measure both models on the same rows, to all of which the candidate has finite answers."""
    if not all(np.isfinite(answers).all() for answers, _ in pieces_of(active, rows)):
        problem = "cannot answer rows so far outside its training range as some test rows are"
        return gate.Champion(version, problem=problem)
    ours, theirs = (measure(predict, rows, "test") for predict in (candidate, active))
    return gate.Champion(version, gate.Contest(ours, theirs, *mean_gain(candidate, active, rows), seen))
