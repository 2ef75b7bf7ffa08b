"""Choose the background rows of explanations: weighted centres of clusters of training rows.

No row of a person is published: each centre stands for at least 5 training rows, its numbers are their means and its
categories the most frequent ones; and it equals no row that fewer than 5 training rows have. It must not know models.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
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
CODED = ("categorical", "boolean")
FARTHEST = 3.0  # standard deviations of an input; without a bound, a few extreme rows would have most clusters

Cells = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Centre = tuple[float | None, ...]


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
    centres = [_make_nobodys(_centre(group, train.columns), group, train) for group in groups]
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


def _centre(group: Cells, columns: tuple[Column, ...]) -> Centre:
    """Return the cells of a centre: a value is missing where most rows of the cluster lack it."""
    centre: list[float | None] = []
    for column, cells in zip(columns, cells_of(columns), strict=True):
        values = group[:, cells]  # (n, 1) or (n, 2)
        present = values[~np.isnan(values[:, 0])]
        if 2 * len(present) < len(values):
            centre += [None] * column.width
        elif column.type in CODED:
            centre.append(float(np.bincount(present[:, 0].astype(np.int64)).argmax()))
        else:
            means = present.mean(axis=0, dtype=np.float64)
            centre += [_shortest(mean) for mean in (means.round() if column.type == "datetime" else means)]
    return tuple(centre)


def _make_nobodys(centre: Centre, group: Cells, train: Dataset) -> Centre:
    """Return a centre that equals no row which fewer than 5 training rows have, at most one column being changed."""
    cells = np.array(centre, dtype=np.float32)
    order = _equal(group, cells).sum(axis=0).argsort(kind="stable")  # what few rows have tells most rows apart
    if not _is_rare(cells, order, train.x):
        return centre
    for place, value in _alternatives(centre, group, train.columns):
        changed = cells.copy()
        changed[place] = np.nan if value is None else value
        if not _is_rare(changed, order, train.x):
            return (*centre[: place.start], *[value] * (place.stop - place.start), *centre[place.stop :])
    return (None,) * len(centre)  # which says nothing of anyone


def _is_rare(cells: Cells, order: Ints, x: Cells) -> bool:
    """Return whether some of the rows, (N, W), but fewer than 5, have these cells, (W,), looked at in this order."""
    rows = np.flatnonzero(_equal(x[:, order[0]], cells[order[0]]))
    for cell in order[1:]:
        if not len(rows):
            return False
        rows = rows[_equal(x[rows, cell], cells[cell])]
    return 0 < len(rows) < FEWEST_ROWS


def _equal(x: Cells, cells: Cells | np.float32) -> npt.NDArray[np.bool_]:
    equal: npt.NDArray[np.bool_] = (x == cells) | (np.isnan(x) & np.isnan(cells))
    return equal


def _alternatives(centre: Centre, group: Cells, columns: tuple[Column, ...]) -> Iterator[tuple[slice, float | None]]:
    """Yield cells of a column with another value, those that the fewest rows of the cluster lose by first.

    A mean moves by half its standard error, a category is another one of the cluster, and last, values are missing.
    """
    found: list[tuple[int, slice, float | None]] = []
    for column, place in zip(columns, cells_of(columns), strict=True):
        known = group[:, place.start].astype(np.float64)
        present, own = known[~np.isnan(known)], centre[place.start]
        counts: dict[float | None, int] = {None: len(known) - len(present)}
        if column.type in CODED:
            counts |= Counter(present.tolist())
        elif column.type == "numeric" and own is not None:
            found.append((0, place, _shortest(own + present.std() / (2 * len(present) ** 0.5))))
        found += [(counts.get(own, len(known)) - rows, place, value) for value, rows in counts.items() if value != own]
    yield from ((place, value) for _, place, value in sorted(found, key=lambda one: one[0]))


def _shortest(value: float) -> float:
    return float(str(np.float32(value)))
