"""Draw how far probabilities can be trusted: reliability, recall and precision, as PNG."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

from modelstore import Decision
from training.evaluation.calibration import accuracy_band, bins_of
from training.evaluation.decisions import threshold_of
from training.evaluation.metrics import Floats, Ints
from training.evaluation.plots import COLOURS, DPI, MAX_TICK, new_figure, shorten, to_png

CONFIDENCE_BINS = 20


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
