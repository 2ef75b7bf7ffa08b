"""Draw results for `docs/performance.md` with matplotlib's Figure, without global state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.goals import GOALS
from benchmarks.outcomes import Outcome, Results
from benchmarks.scenarios.throughput import COLUMNS
from benchmarks.systems import ASGI, ASGI_ONNX, CONSTANT, FASTAPI, TABSERVE
from benchmarks.verdicts import judge

# Okabe & Ito: told apart by colour-blind readers; markers for those who print in black and white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKS = ("o", "s", "^", "D", "v", "P")
THROUGHPUT = ("one_row_64", "rows_100", "rows_10000")


def draw(results: Results, folder: Path) -> list[Path]:
    """Write every plot that the results allow, as SVG, and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, Callable[[Results], Figure | None]] = {
        "throughput": _throughput,
        "curve": _curve,
        "goals": _goals,
        "latency": _latency,
    }
    written = []
    for name, plot in plots.items():
        figure = plot(results)
        if figure is not None:
            written.append(folder / f"{name}.svg")
            figure.savefig(written[-1], metadata={"Date": None})
    return written


def _curve(results: Results) -> Figure | None:
    outcome = results.outcomes.get("curve")
    if outcome is None or not outcome.figures:
        return None
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for place, (system, metrics) in enumerate(outcome.figures.items()):
        points = sorted((int(metric.partition("@")[2]), metric) for metric in metrics)
        spreads = [outcome.spread(system, metric) for _, metric in points]
        rows = [count for count, _ in points]
        median = [found.median for found in spreads if found]
        low = [found.low for found in spreads if found]
        high = [found.high for found in spreads if found]
        colour, mark = COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]
        axes.fill_between(rows, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(rows, median, color=colour, marker=mark, markersize=5, label=system)
    axes.set(xscale="log", yscale="log", xlabel="rows per request", ylabel="rows/s", title=outcome.title)
    _tidy(axes)
    axes.legend(frameon=False)
    return figure


def _throughput(results: Results) -> Figure | None:
    outcomes = [results.outcomes[name] for name in THROUGHPUT if name in results.outcomes]
    if not outcomes:
        return None
    figure = Figure(figsize=(4 * len(outcomes), 4), layout="constrained")
    for axes, outcome in zip(figure.subplots(1, len(outcomes), squeeze=False)[0], outcomes, strict=True):
        metric = "requests_per_s" if outcome.scenario == "one_row_64" else "rows_per_s"
        systems = [system for system in outcome.figures if system != CONSTANT or metric == "requests_per_s"]
        _bars(axes, outcome, systems, metric)
    return figure


def _bars(axes: Axes, outcome: Outcome, systems: list[str], metric: str) -> None:
    spreads = [found for system in systems if (found := outcome.spread(system, metric))]
    medians = [found.median for found in spreads]
    errors = [[f.median - f.low for f in spreads], [f.high - f.median for f in spreads]]
    axes.bar(systems, medians, yerr=errors, capsize=4, color=[_colour(system) for system in systems])
    axes.set(title=outcome.title, ylabel=metric.replace("_per_s", "/s"), ylim=(0, None))
    axes.tick_params(axis="x", rotation=20)
    _tidy(axes)


def _latency(results: Results) -> Figure | None:
    outcome = results.outcomes.get("half_capacity")
    if outcome is None:
        return None
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    systems = list(outcome.figures)
    for place, metric in enumerate(("p50_ms", "p99_ms")):
        medians = [found.median for system in systems if (found := outcome.spread(system, metric))]
        heights = [row + (place - 0.5) * 0.38 for row in range(len(medians))]
        axes.barh(heights, medians, height=0.36, color=COLOURS[place], label=metric.replace("_ms", ""))
    axes.set_yticks(range(len(systems)), systems)
    axes.invert_yaxis()
    axes.set(title=outcome.title, xlabel="ms from the scheduled moment")
    _tidy(axes)
    axes.legend(frameon=False)
    return figure


def _goals(results: Results) -> Figure | None:
    """How far each ratio is on the good side of its goal: 1 is just reached."""
    verdicts = [verdict for goal in GOALS if goal.bound and (verdict := judge(goal, results)).measured]
    if not verdicts:
        return None
    figure = Figure(figsize=(9, 0.4 * len(verdicts) + 1), layout="constrained")
    axes = figure.subplots()
    for row, verdict in enumerate(verdicts):
        found, goal = verdict.measured, verdict.goal
        assert found
        ends = [
            value / goal.bound if goal.at_least else goal.bound / value for value in (found.low, found.high) if value
        ]
        middle = found.median / goal.bound if goal.at_least else goal.bound / max(found.median, 1e-9)
        colour = COLOURS[0] if verdict.reached else COLOURS[1]
        axes.plot(ends, [row] * len(ends), color=colour, linewidth=3, alpha=0.5)
        axes.plot([middle], [row], color=colour, marker="o" if verdict.reached else "X")
    axes.axvline(1, color="0.3", linewidth=1)
    axes.set_yticks(range(len(verdicts)), [verdict.goal.text for verdict in verdicts])
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="how many times better than the goal (1: just reached)")
    _tidy(axes)
    return figure


def _colour(system: str) -> str:
    """Return the colour of a system, the same in all plots; variants of Tabserve have those that are left."""
    order = (CONSTANT, FASTAPI, ASGI, TABSERVE, COLUMNS, ASGI_ONNX)
    return COLOURS[order.index(system) if system in order else -1]


def _tidy(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
