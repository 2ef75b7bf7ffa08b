"""Choose the background rows of explanations: weighted centres of clusters of training rows.

No row of a person is published: each centre stands for at least 5 training rows, its numbers are their means and its
categories the most frequent ones. It must not know models.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from modelstore import Background
from modelstore.features import MIN_CATEGORY_ROWS
from modelstore.golden import MAX_GOLDEN_VALUES
from training.data.columns import Column, cells_of
from training.data.dataset import Dataset
from training.preprocessing.encoder import fit_encoder

BACKGROUND_ROWS = 32
FEWEST_ROWS = MIN_CATEGORY_ROWS  # training rows behind a centre
MOST_ROWS, MOST_INPUTS = 10_000, 4_000_000  # rows, and inputs of all rows, that are clustered
FARTHEST = 3.0  # standard deviations of an input; without a bound, a few extreme rows would have most clusters

Cells = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def make_background(train: Dataset) -> Background | None:
    """Return at most 32 rows with the share of training rows that each stands for; fewer of very wide rows.

    Of a large table, an evenly spread part is clustered. The clusters are those of k-means on the inputs of a network:
    scaled numbers, one-hot categories, parts of dates, and which values are missing.

    Returns:
        None for fewer than 5 rows.
    """
    if len(train) < FEWEST_ROWS:
        return None
    sample = train.thin(MOST_ROWS)
    encoder = fit_encoder(sample)
    sample = sample.thin(max(BACKGROUND_ROWS * FEWEST_ROWS, MOST_INPUTS // encoder.width))
    x = sample.x
    with torch.inference_mode():
        inputs = encoder(torch.from_numpy(x)).clamp(-FARTHEST, FARTHEST).numpy()
    most = min(BACKGROUND_ROWS, MAX_GOLDEN_VALUES // x.shape[1], len(x) // FEWEST_ROWS)
    found = _cluster(inputs, max(1, most))
    groups = [x[found == number] for number in np.unique(found)]
    centres = [_centre(group, train.columns) for group in groups]
    return Background(rows=tuple(centres), weights=tuple(len(group) / len(x) for group in groups))


def _cluster(inputs: Cells, clusters: int) -> Ints:
    """Return the cluster of each row, (N,); those of too few rows are dissolved, the smallest first."""
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters
        means = KMeans(clusters, n_init=1, random_state=0).fit(inputs).cluster_centers_
    while True:
        found: Ints = _distances(inputs, means).argmin(axis=1)
        sizes = np.bincount(found, minlength=len(means))
        if len(means) == 1 or sizes.min() >= FEWEST_ROWS:
            return found
        means = np.delete(means, sizes.argmin(), axis=0)


def _distances(inputs: Cells, means: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Return squared distances, (N, clusters), less what is the same for all clusters."""
    found: npt.NDArray[np.floating[Any]] = (means**2).sum(axis=1) - 2 * inputs @ means.T
    return found


def _centre(group: Cells, columns: tuple[Column, ...]) -> tuple[float | None, ...]:
    """Return the cells of a centre: a value is missing where most rows of the cluster lack it."""
    centre: list[float | None] = []
    for column, cells in zip(columns, cells_of(columns), strict=True):
        values = group[:, cells]  # (n, 1) or (n, 2)
        present = values[~np.isnan(values[:, 0])]
        if 2 * len(present) < len(values):
            centre += [None] * column.width
        elif column.type in ("categorical", "boolean"):
            centre.append(float(np.bincount(present[:, 0].astype(np.int64)).argmax()))
        else:
            means = present.mean(axis=0, dtype=np.float64)
            centre += [_shortest(mean) for mean in (means.round() if column.type == "datetime" else means)]
    return tuple(centre)


def _shortest(value: float) -> float:
    return float(str(np.float32(value)))
