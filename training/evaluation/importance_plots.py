"""Draw which columns matter to a model, and how its answers depend on them, as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from modelstore import Importance
from training.evaluation.dependence import Dependence
from training.evaluation.plots import COLOURS, DPI, MAX_TICK, new_figure, shorten, to_png

MOST_BARS = 20
FIGURES = {"log_loss": "log loss (nats)", "rmse": "RMSE"}
ACROSS = 5  # pictures side by side


def importance(found: Importance, title: str) -> bytes:
    """Draw the importance of at most 20 columns with its interval, the most important at the top."""
    columns = list(found.columns.items())[:MOST_BARS]
    figure, axes = new_figure(title, f"rise of the {FIGURES[found.figure]} where the column is shuffled", "")
    places = np.arange(len(columns))
    means = [column.mean for _, column in columns]
    axes.barh(places, means, color=COLOURS[0], height=0.7)
    low, high = ([column.interval[side] for _, column in columns] for side in range(2))
    axes.hlines(places, low, high, color="black", linewidth=1.5)
    axes.set_yticks(places, [shorten(name, MAX_TICK) for name, _ in columns])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.25)
    return to_png(figure)


def dependence(found: Sequence[Dependence], outputs: Sequence[str], title: str) -> bytes:
    """Draw the mean answer for each value of a column, and lines of single rows; ticks at the bottom are deciles.

    Args:
        found: one for each column, at most ten.
        outputs: names of the classes, or of the quantity.
        title: title, which says what is shown.
    """
    across, down = min(ACROSS, len(found)), math.ceil(len(found) / ACROSS)
    figure = Figure(figsize=(max(5.0, 2.6 * across), 0.5 + 2.5 * down), dpi=DPI)
    figure.suptitle(shorten(title), y=0.98, fontsize="large")
    drawn = figure.subplots(down, across, squeeze=False).ravel()
    for axes, one in zip(drawn, found, strict=False):
        _draw(axes, one, outputs)
    for axes in drawn[len(found) :]:
        axes.set_axis_off()
    figure.subplots_adjust(
        left=0.45 / across, right=0.985, top=1 - 0.35 / down, bottom=0.3 / down, wspace=0.4, hspace=0.7
    )
    return to_png(figure)


def _draw(axes: Axes, one: Dependence, outputs: Sequence[str]) -> None:
    is_number = not isinstance(one.values[0], str)
    places = np.array(one.values, dtype=np.float64) if is_number else np.arange(len(one.values), dtype=np.float64)
    lines = [np.column_stack((places, line)) for line in one.lines]
    axes.add_collection(LineCollection(lines, colors="0.6", linewidths=0.4, alpha=0.5))
    axes.plot(places, one.means[:, one.output], color=COLOURS[1], linewidth=2)
    if is_number:
        axes.plot(one.deciles, np.zeros(len(one.deciles)), "|", color="black", transform=axes.get_xaxis_transform())
    else:
        some = np.unique(np.linspace(0, len(places) - 1, 6).astype(int))
        axes.set_xticks(places[some], [shorten(str(one.values[place]), 10) for place in some], rotation=30)
    axes.set_xlabel(shorten(one.column, MAX_TICK), fontsize="small")
    axes.set_title(shorten(outputs[one.output], MAX_TICK), fontsize="small")
    axes.tick_params(labelsize="x-small")
    axes.autoscale_view()
