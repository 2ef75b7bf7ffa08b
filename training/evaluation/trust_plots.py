"""Draw how far probabilities can be trusted: reliability, abstaining, recall and precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from modelstore import Decision
from training.evaluation.calibration import accuracy_band, bins_of
from training.evaluation.decisions import threshold_of
from training.evaluation.metrics import Floats, Ints
from training.evaluation.plots import COLOURS, DPI, MAX_TICK, new_figure, shorten, to_png

CONFIDENCE_BINS = 20
MARKED = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # values of `abstain.below`


def reliability(probabilities: Floats, y: Ints, title: str) -> bytes:
    """Draw accuracy against confidence with the band of a calibrated model, and below it how confident the rows are.

    Args:
        probabilities: (N, K).
        y: true classes, (N,).
        title: title, which names the split.
    """
    bins = bins_of(probabilities, y)
    low, high = accuracy_band(bins)
    figure = Figure(figsize=(6.4, 4.8), dpi=DPI, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.set(title=title, ylabel="share of rows that are right")
    above.plot([0, 1], [0, 1], color="black", linewidth=1.0, label="calibrated")
    above.vlines(bins.confidence, low, high, color=COLOURS[5], linewidth=5, alpha=0.6, label="95 % by chance")
    above.plot(bins.confidence, bins.accuracy, "o-", color=COLOURS[1], markersize=4, label=f"{len(bins.rows)} bins")
    above.legend(frameon=False, loc="upper left")
    below.hist(probabilities.max(axis=1), bins=CONFIDENCE_BINS, range=(0, 1), color=COLOURS[0])
    below.set(xlabel="confidence: probability of the most probable class", ylabel="rows")
    for axes in (above, below):
        axes.set_xlim(max(0.0, 1 / probabilities.shape[1] - 0.05), 1.02)
        axes.grid(alpha=0.25)
    return to_png(figure)


def reliability_json(probabilities: Floats, y: Ints) -> bytes:
    """Return what `reliability` draws, as the content of `reliability.json`.

    `bins` are those of `bins_of`, each with the 95 % band of a calibrated model (`low`, `high`); `histogram` counts the
    rows by confidence, in 20 bins of equal width from 0 to 1.

    Args:
        probabilities: (N, K).
        y: true classes, (N,).
    """
    bins = bins_of(probabilities, y)
    counts, _ = np.histogram(probabilities.max(axis=1), CONFIDENCE_BINS, range=(0, 1))
    names = ("rows", "confidence", "accuracy", "low", "high")
    shown = zip(*(column.tolist() for column in (*bins, *accuracy_band(bins))), strict=True)
    listed = [dict(zip(names, one, strict=True)) for one in shown]
    return orjson.dumps({"rows": len(y), "bins": listed, "histogram": counts.tolist()}) + b"\n"


def abstaining(probabilities: Floats, y: Ints, title: str) -> bytes:
    """Draw which share of the rows are wrong among those that are decided, against the share that is decided.

    Args:
        probabilities: (N, K), N >= 1.
        y: true classes, (N,).
        title: title, which names the split.
    """
    confidence = probabilities.max(axis=1)
    decided, risk, at = risk_by_coverage(confidence, probabilities.argmax(axis=1) == y)
    figure, axes = new_figure(title, "coverage: share of rows that are decided", "risk: share of these that are wrong")
    axes.plot(decided, risk, color=COLOURS[0])
    for threshold in MARKED:
        place = int(np.count_nonzero(at >= threshold)) - 1
        if 0 <= place < len(at) - 1:
            axes.plot(decided[place], risk[place], "o", color=COLOURS[1], markersize=4)
            axes.annotate(f"below {threshold:g}", (decided[place], risk[place]), fontsize=8, rotation=30)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.01 * max(risk), 1.15 * max(*risk, 0.01)))
    axes.grid(alpha=0.25)
    return to_png(figure)


def risk_by_coverage(confidence: Floats, right: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Return shares of rows that are decided, of these that are wrong, and the least confidence among them.

    There is one entry for each confidence that occurs, from the largest on.

    Source: El-Yaniv & Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 11, 2010.

    Args:
        confidence: of each row, (N,).
        right: whether its label is right, (N,).
    """
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = confidence[order], np.cumsum(~right[order])
    last = np.append(np.flatnonzero(np.diff(sure)), len(sure) - 1)  # of the rows of one confidence
    return (last + 1) / len(sure), wrong[last] / (last + 1), sure[last]


def thresholds(
    second: npt.NDArray[np.floating[Any]], y: Ints, name: str, title: str, decision: Decision | None
) -> bytes:
    """Draw recall and precision of the second of two classes against the probability from which it is chosen.

    Args:
        second: probability of the class, (N,).
        y: true classes, (N,); both occur.
        name: name of the class.
        title: title, which names the split.
        decision: how the class is chosen, if not from 0.5 on; costs have a threshold, too, if mistakes cost anything.
    """
    precision, recall, at = precision_recall_curve(y, second)
    figure, axes = new_figure(title, f"threshold: least probability of {shorten(name, MAX_TICK)}", "share of rows")
    axes.plot(at, recall[:-1], color=COLOURS[0], label=f"recall of {shorten(name, MAX_TICK)}")
    axes.plot(at, precision[:-1], color=COLOURS[1], linestyle="--", label=f"precision of {shorten(name, MAX_TICK)}")
    threshold = threshold_of(decision)
    if threshold is not None:
        axes.axvline(threshold, color="black", linewidth=1.2, label=f"chosen: {threshold:.3g}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    return to_png(figure)
