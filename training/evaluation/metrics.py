"""Compute metrics of a classification from (N, K) probabilities and true classes.

It must not know any model. Rows are processed in chunks, so memory is bounded for any number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from modelstore import ClassReport, Decision, Evaluation
from modelstore.intervals import wilson
from training.evaluation.calibration import bins_of, calibration_error, chance_limit
from training.evaluation.decisions import choose_labels
from training.evaluation.intervals import Sums, f1_interval, seen_classes
from training.evaluation.ranking import ranking_of
from training.evaluation.sampling import EvenRows

SMALLEST_PROBABILITY = float(np.finfo(np.float32).eps)
MOST_SORTED = 1 << 21  # probabilities that are sorted, for calibration and order: those of evenly spread rows
LEAST_SORTED_ROWS = 5000
CHUNK_ROWS = 65_536
NEIGHBOURS = 5  # of the baseline KNN

Split = Literal["train", "validation", "test"]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Answers = Floats
"""What a model answers: probabilities (N, K), or values (N, 1)."""
Pieces = Iterable[tuple[Answers, Any]]
"""Answers (n, ...) with their truths (n,), chunk by chunk."""


def evaluate(
    probabilities: Floats, y: Ints, classes: tuple[str, ...], split: Split, decision: Decision | None = None
) -> Evaluation:
    """Measure probabilities against the truth.

    Args:
        probabilities: float32 or float64, shape (N, K), rows sum to 1.
        y: true class indices, shape (N,), 0 to K - 1.
        classes: K class names.
        split: name of the split.
        decision: how classes are chosen for the confusion matrix and what is computed from it; by default the most
            probable ones, on which accuracy and calibration depend always.
    """
    return evaluate_chunks(((probabilities[part], y[part]) for part in chunks(len(y))), classes, split, decision)


def chunks(rows: int) -> Iterator[slice]:
    """Yield slices that cut rows 0 to `rows` - 1 into chunks of at most `CHUNK_ROWS`."""
    for start in range(0, rows, CHUNK_ROWS):
        yield slice(start, start + CHUNK_ROWS)


def evaluate_chunks(
    pieces: Iterable[tuple[Floats, Ints]], classes: tuple[str, ...], split: Split, decision: Decision | None = None
) -> Evaluation:
    """Measure probabilities given in pieces, each (n, K) with its true classes (n,); otherwise as `evaluate`.

    Calibration and order of the probabilities are those of evenly spread rows, all of them if there are at most
    2 million probabilities.
    """
    hits, losses, distances = Sums(), Sums(), Sums()
    confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
    spread = EvenRows(max(LEAST_SORTED_ROWS, MOST_SORTED // len(classes)))
    for probabilities, y in pieces:
        confusion += confusion_matrix(choose_labels(probabilities, decision), y, len(classes))
        hits.add(probabilities.argmax(axis=1) == y)
        losses.add(row_losses(probabilities, y))
        distances.add(_squared_distances(probabilities, y))
        spread.add(np.column_stack((probabilities, y)))
    some = spread.rows
    bins = bins_of(some[:, :-1], truth := some[:, -1].astype(np.int64))
    ranking, reports = ranking_of(some[:, :-1], truth), class_reports(confusion)
    intervals = {
        "accuracy": wilson(hits.mean, hits.rows),
        "log_loss": losses.interval,
        "brier": distances.interval,
        "macro_f1": f1_interval(confusion),
        **(ranking.intervals if ranking else {}),
    }
    return Evaluation(
        split=split,
        rows=hits.rows,
        accuracy=hits.mean,
        macro_f1=_mean_f1(confusion, reports),
        log_loss=losses.mean,
        brier=distances.mean,
        calibration_error=calibration_error(bins),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        per_class=dict(zip(classes, reports, strict=True)),
        calibration_band=(0.0, chance_limit(bins)),
        roc_auc=ranking and ranking.roc_auc,
        average_precision=ranking and ranking.average_precision,
        intervals={name: limits for name, limits in intervals.items() if limits},
    )


def confusion_matrix(predicted: Ints, y: Ints, classes: int) -> Ints:
    """Count rows by true class (row) and predicted class (column), shape (K, K)."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)  # (K, K)


def class_reports(confusion: Ints) -> tuple[ClassReport, ...]:
    """Return precision, recall and F1 of each class; 0 where the denominator is 0."""
    hits = confusion.diagonal()
    predicted, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return tuple(
        ClassReport(
            precision=_ratio(hit, guessed), recall=_ratio(hit, rows), f1=_ratio(2 * hit, guessed + rows), support=rows
        )
        for hit, guessed, rows in zip(hits.tolist(), predicted.tolist(), support.tolist(), strict=True)
    )


def _mean_f1(confusion: Ints, reports: Iterable[ClassReport]) -> float:
    """Return the mean F1 over the classes with rows or predictions, as scikit-learn does."""
    return float(np.mean([report.f1 for report, seen in zip(reports, seen_classes(confusion), strict=True) if seen]))


def log_loss(probabilities: Floats, y: Ints) -> float:
    """Return the mean negative log likelihood in nats."""
    return float(row_losses(probabilities, y).mean())


def row_losses(probabilities: Floats, y: Ints) -> npt.NDArray[np.float64]:
    """Return the negative log likelihood of each row in nats, shape (N,).

    Probabilities of any type are clipped to [2^-23, 1 - 2^-23], the precision of float32, so that a mistake with
    probability 1 costs 15.9 nats instead of infinity, for networks and baselines alike.
    """
    likelihood = probabilities[np.arange(len(y)), y].astype(np.float64)  # (N,)
    losses: npt.NDArray[np.float64] = -np.log(likelihood.clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    return losses  # (N,)


def brier(probabilities: Floats, y: Ints) -> float:
    """Return the mean squared distance of the probabilities from the one-hot truth, 0 to 2."""
    return float(_squared_distances(probabilities, y).mean())


def _squared_distances(probabilities: Floats, y: Ints) -> npt.NDArray[np.float64]:
    truth = np.eye(probabilities.shape[1])[y]  # (N, K)
    distances: npt.NDArray[np.float64] = ((probabilities - truth) ** 2).sum(axis=1)
    return distances  # (N,)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
