"""Figures of the order in which probabilities put rows: ROC AUC and average precision.

It must not know any model. N is rows and K classes everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

from modelstore.intervals import Limits, interval
from training.evaluation.intervals import logit_interval

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


class Ranking(NamedTuple):
    """How well the probability of a class separates its rows from the others.

    Attributes:
        roc_auc: share of the pairs of a row of the class and another in which the former has the larger probability.
        standard_error: standard error of it; 0 if every pair is in order.
        average_precision: mean of the precision at each recall.
        positives: rows of the class; None for the mean of several.
    """

    roc_auc: float
    standard_error: float
    average_precision: float
    positives: int | None

    @property
    def intervals(self) -> dict[str, Limits | None]:
        """Return the intervals of 95 %, by name; None where it cannot be computed."""
        area = interval(self.roc_auc, self.standard_error, most=1) if self.standard_error else None
        precision = None if self.positives is None else logit_interval(self.average_precision, self.positives)
        return {"roc_auc": area, "average_precision": precision}


def ranking_of(probabilities: Floats, y: Ints) -> Ranking | None:
    """Return the figures of the second of two classes, or of more the means of each class against the rest.

    Classes without rows do not count, nor does one that all rows have; None if no class is left.

    Source: DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988, for the error; of several classes the
    contributions of a row to all areas are added, since the areas share their rows.
    """
    areas, precisions, influence = [], [], np.zeros(len(y))
    for positive, scores in _one_against_rest(probabilities, y):
        places = _placements(positive, scores)  # (N,)
        area = float(places[positive].mean())
        for side in (positive, ~positive):
            rows = int(side.sum())
            influence[side] += (places[side] - area) / math.sqrt(rows * max(1, rows - 1))
        areas.append(area)
        precisions.append(float(average_precision_score(positive, scores)))
    if not areas:
        return None
    error = math.sqrt(float(influence @ influence)) / len(areas)
    area, precision = (min(1.0, float(np.mean(values))) for values in (areas, precisions))  # sums are rounded
    return Ranking(area, error, precision, int(y.sum()) if probabilities.shape[1] == 2 else None)


def _one_against_rest(probabilities: Floats, y: Ints) -> Iterator[tuple[npt.NDArray[np.bool_], Floats]]:
    """Yield for each class that counts which rows are of it, (N,), and its probabilities, (N,)."""
    classes = probabilities.shape[1]
    for k in range(1 if classes == 2 else 0, classes):
        positive = y == k
        if 0 < positive.sum() < len(y):
            yield positive, probabilities[:, k]


def _placements(positive: npt.NDArray[np.bool_], scores: Floats) -> npt.NDArray[np.float64]:
    """Return for each row the share of the other side's rows that are ranked correctly with it.

    Ties count half.
    """
    places = np.empty(len(scores))
    for side in (positive, ~positive):
        others = np.sort(scores[~side])
        below, up_to = (np.searchsorted(others, scores[side], end) for end in ("left", "right"))
        places[side] = (below + up_to) / (2 * len(others))
    places[~positive] = 1 - places[~positive]
    return places
