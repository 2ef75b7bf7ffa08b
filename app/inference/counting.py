"""Count the rows of a forward pass by class, and sample them.

This module must not know models or requests.
"""

from __future__ import annotations

import numpy as np

from app.inference.predictions import BatchPredictions
from app.telemetry.version_counters import VersionCounts

# Rows are counted by class in the quickest way: one by one if there are few, class by class if there are many rows and
# few classes, and by bincount otherwise.
FEW_ROWS, MANY_ROWS = 4, 4096
FEW_CLASSES = 8


def count_answers(counts: VersionCounts, batch: BatchPredictions) -> None:
    """Count the rows of a forward pass by class, and add some of them to the sample."""
    counts.sampled(batch.x, batch.probabilities)
    _count_classes(counts, batch)


def _count_classes(counts: VersionCounts, batch: BatchPredictions) -> None:
    """Count the rows by class, except those that overflowed; most formats need the winners anyway."""
    if not counts.classes:
        return
    if len(batch.x) <= FEW_ROWS and batch.finite:
        for winner in batch.best:
            counts.predicted(winner, 1)
        return
    winners = batch.winners
    if not batch.finite:
        winners = winners[np.isfinite(batch.probabilities).all(axis=1)]
    classes = len(counts.classes)
    if len(winners) >= MANY_ROWS and classes <= FEW_CLASSES:
        rows = [np.count_nonzero(winners == k) for k in range(classes)]
    else:
        rows = np.bincount(winners).tolist()
    for winner, count in enumerate(rows):
        counts.predicted(winner, int(count))
