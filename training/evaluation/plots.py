"""Draw plots of a training as PNG bytes, without pyplot and its global state."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import orjson
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from modelstore import Decision, EpochMetrics, Evaluation
from training.data.dataset import Dataset
from training.evaluation.decisions import choose_labels, threshold_of
from training.learners.protocol import Predict

DPI = 120
GRID_POINTS = 300
MAX_POINTS, MAX_LISTED = 5000, 300  # rows in a picture, and in the data of one
MAX_NAME, MAX_TICK = 60, 24
MARKERS = "os^DvPX*"
MANY_CLASSES = 12  # with more, names are written upwards and zeros are left out
MAX_COUNTED_CLASSES = 40  # more than 1,600 counts are unreadable and take seconds to draw
LARGEST = float(np.finfo(np.float32).max)
# palette of Okabe and Ito, distinguishable with any colour vision (jfly.uni-koeln.de/color)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")

mpl.rcParams["text.parse_math"] = False  # names may hold `$`
mpl.rcParams["axes.titley"] = 1.0  # where titles are anyway; to look for ticks above takes an eighth of the time


def loss_curves(history: Sequence[EpochMetrics], title: str, unit: str = "nats") -> bytes:
    """Draw the training and, if present, the validation loss over the epochs, on a logarithmic axis."""
    figure, axes = new_figure(title, "epoch", f"loss ({unit}, logarithmic)")
    epochs = [metrics.epoch for metrics in history]
    axes.plot(epochs, [metrics.train_loss for metrics in history], color=COLOURS[0], label="training")
    validation = {m.epoch: m.validation_loss for m in history if m.validation_loss is not None}
    if validation:
        losses = list(validation.values())
        axes.plot(list(validation), losses, color=COLOURS[1], linestyle="--", label="validation")
        best = min(validation, key=lambda epoch: validation[epoch])
        axes.plot(best, validation[best], "o", color=COLOURS[1], label=f"lowest: {validation[best]:.4f}, epoch {best}")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(which="both", alpha=0.25)
    axes.legend(frameon=False)
    return to_png(figure)


def confusion_matrix(evaluation: Evaluation, title: str) -> bytes:
    """Draw counts by true and predicted class, shaded by the share of the true class."""
    counts = np.array(evaluation.confusion)  # (K, K)
    figure, axes = new_figure(title, "predicted class", "true class", scale=_scale(counts))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (K, K)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = list(evaluation.per_class)
    shown = [shorten(name, MAX_TICK) for name in names]
    axes.set_xticks(
        range(len(names)), shown, rotation=90 if len(names) > MANY_CLASSES else 30 if max(map(len, names)) > 12 else 0
    )
    axes.set_yticks(range(len(names)), shown)
    for (row, column), count in np.ndenumerate(counts) if len(names) <= MAX_COUNTED_CLASSES else ():
        if count == 0 and len(names) > MANY_CLASSES:
            continue  # the mistakes would be lost among the zeros
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize="large")
    figure.colorbar(image, label="share of the true class", shrink=0.85)
    return to_png(figure)


def decision_boundary(
    predict: Predict, rows: Dataset, units: Sequence[str], title: str, decision: Decision | None = None
) -> bytes:
    """Draw the predicted class over the plane of two features, with the rows of one split on it.

    Args:
        predict: the model.
        rows: rows of the split to show, of two numbers; a row with a gap is not shown.
        units: units of the two features, empty for pure numbers.
        title: title, which names the split.
        decision: how the class is chosen, if it is not the most probable one.
    """
    names = [f"{name} [{unit}]" if unit else name for name, unit in zip(rows.features, units, strict=True)]
    figure, axes = new_figure(title, names[0], names[1])
    _shade(axes, predict, rows.x, len(rows.classes), decision)
    shown = rows.thin(MAX_POINTS)
    for number in range(len(rows.classes)):
        points = shown.x[shown.y == number].astype(np.float64)  # matplotlib computes in the type of its input
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        axes.scatter(points[:, 0], points[:, 1], s=22, c=colour, marker=marker, edgecolors="white", linewidths=0.6)
    legend = axes.legend(axes.collections[-len(rows.classes) :], map(str, range(len(rows.classes))), framealpha=0.9)
    for text, name in zip(legend.get_texts(), rows.classes, strict=True):
        text.set_text(shorten(name, MAX_TICK))  # set later: legend() omits labels that begin with an underscore
    return to_png(figure)


def predicted_values(predict: Predict, rows: Dataset, target: str, title: str) -> bytes:
    """Draw the predicted against the true values of at most 5,000 rows, and the line on which they are equal."""
    truth, predicted = _values(predict, rows)
    figure, axes = new_figure(title, f"true {target}", f"predicted {target}")
    axes.scatter(truth, predicted, s=14, c=COLOURS[0], alpha=0.6, edgecolors="none")
    middle = float(np.median(truth))
    axes.axline((middle, middle), slope=1, color="black", linewidth=1.2)
    axes.grid(alpha=0.25)
    return to_png(figure)


def residuals(predict: Predict, rows: Dataset, target: str, title: str) -> bytes:
    """Draw true minus predicted values over the predicted ones, of at most 5,000 rows."""
    truth, predicted = _values(predict, rows)
    figure, axes = new_figure(title, f"predicted {target}", f"residual: true - predicted {target}")
    axes.scatter(predicted, truth - predicted, s=14, c=COLOURS[1], alpha=0.6, edgecolors="none")
    axes.axhline(0, color="black", linewidth=1.2)
    axes.grid(alpha=0.25)
    return to_png(figure)


def residuals_json(predict: Predict, rows: Dataset) -> bytes:
    """Return predicted and true values of at most 300 evenly spread rows, as the content of `residuals.json`."""
    truth, predicted = _values(predict, rows, MAX_LISTED)
    return orjson.dumps({"rows": len(rows), "predicted": predicted.tolist(), "truth": truth.tolist()}) + b"\n"


def _values(
    predict: Predict, rows: Dataset, most: int = MAX_POINTS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return true and predicted values of evenly spread rows, both (n,)."""
    shown = rows.thin(most)
    return shown.y.astype(np.float64), predict(shown.x)[:, 0].astype(np.float64)


def _shade(
    axes: Axes, predict: Predict, x: npt.NDArray[np.floating[Any]], classes: int, decision: Decision | None
) -> None:
    """Shade the region of each chosen class; for two classes, also draw the line between them."""
    low, high = np.nanmin(x, axis=0).astype(np.float64), np.nanmax(x, axis=0).astype(np.float64)
    space = 0.06 * (high - low + np.finfo(np.float32).eps)
    first, second = (np.linspace(low[i] - space[i], high[i] + space[i], GRID_POINTS) for i in range(2))
    grid = np.stack(np.meshgrid(first, second), axis=-1).clip(-LARGEST, LARGEST)  # (GRID, GRID, 2)
    answers = np.nan_to_num(predict(grid.reshape(-1, 2)), nan=1 / classes)  # far from the rows, a network may overflow
    winner = choose_labels(answers, decision).reshape(GRID_POINTS, GRID_POINTS)
    probabilities = answers.reshape(GRID_POINTS, GRID_POINTS, classes)
    palette = ListedColormap([COLOURS[number % len(COLOURS)] for number in range(classes)])
    extent = (first[0], first[-1], second[0], second[-1])
    confidence = probabilities.max(axis=-1)
    strength = (0.1 + 0.35 * (confidence - 1 / classes) / (1 - 1 / classes)).clip(0, 1)
    axes.imshow(
        winner,
        origin="lower",
        extent=extent,
        aspect="auto",
        cmap=palette,
        vmin=-0.5,
        vmax=classes - 0.5,
        alpha=strength,
        interpolation="nearest",
    )
    if classes == 2:
        line, likely = threshold_of(decision), probabilities[..., 1]
        if line is not None and likely.min() < line < likely.max():
            axes.contour(first, second, likely, levels=[line], colors="black", linewidths=1.2)


def _scale(counts: npt.NDArray[np.int64]) -> float:
    """Return the factor by which the figure must grow so that every count fits into its cell."""
    return max(1.0, len(counts) * (1 + len(str(counts.max()))) / 42)


def shorten(name: str, most: int = MAX_NAME) -> str:
    """Return a name in one line of at most `most` characters."""
    text = " ".join(name.split()) or name  # line feeds would take space from the plot
    return text if len(text) <= most else f"{text[: most - 1]}…"


def new_figure(title: str, x_label: str, y_label: str, *, scale: float = 1.0) -> tuple[Figure, Axes]:
    """Return a figure of 768 x 576 pixels, times `scale`, with one pair of axes."""
    figure = Figure(figsize=(6.4 * scale, 4.8 * scale), dpi=DPI, layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=shorten(x_label), ylabel=shorten(y_label))
    return figure, axes


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # names may be in any script
        # the bytes of `savefig`, which draws everything twice
        FigureCanvasAgg(figure).print_png(stream)  # type: ignore[no-untyped-call]
    return stream.getvalue()
