"""Results as Markdown tables, and their places between markers in a document.

It must not know how they are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.goals import GOALS
from benchmarks.outcomes import Outcome, Results, Spread
from benchmarks.verdicts import Verdict, judge

_HIDDEN = ("client_busy", "late_p99_ms")
_TITLES = {
    "requests_per_s": "requests/s",
    "rows_per_s": "rows/s",
    "bulk_rows_per_s": "bulk rows/s",
    "rate_per_s": "sent/s",
    "client_limit_per_s": "limit of the client, requests/s",
}
_UNITS = {"s": "s", "ms": "ms", "mb": "MB"}
WORST = 8
DOUBTFUL = 0.3
MARKERS = ("machine", "goals", "plots", "tables")
CAPTIONS = {
    "goals": "Each goal, and how many times better than it the figure is",
    "throughput": "Throughput of the systems",
    "curve": "Rows per request against rows per second",
    "latency": "p50 and p99 at half of capacity",
}


class NoMarker(Exception):
    """A document lacks the place for a table."""


def number(value: float) -> str:
    """Return a figure with about three digits."""
    if value == int(value) and abs(value) < 10_000:
        return str(int(value))
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f} M"
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def spread(measured: Spread | None) -> str:
    """Return median and range."""
    if measured is None:
        return ""
    if measured.low == measured.high:
        return number(measured.median)
    return f"{number(measured.median)} ({number(measured.low)} to {number(measured.high)})"


def title(metric: str) -> str:
    """Return a metric's name for people, its unit last."""
    name, _, unit = metric.replace("_", " ").rpartition(" ")
    return _TITLES.get(metric) or (f"{name} {_UNITS[unit]}" if unit in _UNITS else metric.replace("_", " "))


def goals_table(results: Results) -> str:
    """Return the goals and how they stand."""
    lines = ["| what | wanted | measured: median (range) | reached |", "|---|---|---|---|"]
    for verdict in (judge(goal, results) for goal in GOALS):
        goal = verdict.goal
        measured = spread(verdict.measured) or f"not measured: {_short(verdict.reason)}"
        lines.append(f"| {goal.text} | {goal.wanted} | {measured} | {_show_reached(verdict)} |")
    return "\n".join(lines)


def machine_text(results: Results) -> str:
    """Return where and how it was measured."""
    machine = results.machine
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    plans = {outcome.plan for outcome in results.outcomes.values()}
    when = sorted(outcome.measured for outcome in results.outcomes.values())
    cores = f"server on core {_list(machine.server_cores)}, client on core {_list(machine.client_cores)}"
    text = f"{machine.processor}, {machine.cores} cores ({cores}), {machine.system}, Python {machine.python}, "
    text += f"{libraries}; closed loop by {machine.client}; plan: {', '.join(sorted(plans))}"
    text += f"; {when[0][:16]} to {when[-1][:16]} UTC" if when else ""
    warnings = (
        ""
        if machine.load_average < 0.5
        else f" **The machine was not quiet: load average {machine.load_average:.1f}.**"
    )
    return f"{text}.{warnings}"


def outcome_table(outcome: Outcome) -> str:
    """Return one scenario's figures: systems down, metrics across, and the ratio to the reference of each."""
    if any("@" in metric for metric in outcome.metrics()):
        return _transpose(outcome) if len(outcome.figures) > 1 else _worst(outcome)
    if not outcome.figures:
        return "\n".join([f"### {outcome.title}", "", *_remarks(outcome)])
    metrics = [metric for metric in outcome.metrics() if metric not in _HIDDEN]
    reference = outcome.reference
    lines = [f"### {outcome.title}", ""]
    first = outcome.compared_by or (metrics[0] if metrics else "")
    heads = ["system", *map(title, metrics)]
    if reference:
        heads.insert(1, f"{title(first)} / {reference}")
    lines += [_row(heads), _row(["---"] * len(heads))]
    for system in outcome.figures:
        cells = [system, *(spread(outcome.spread(system, metric)) for metric in metrics)]
        if reference:
            cells.insert(1, spread(outcome.ratio(system, reference, first)))
        lines.append(_row(cells))
    lines += ["", *_remarks(outcome)]
    return "\n".join(lines).rstrip()


def _transpose(outcome: Outcome) -> str:
    """Return a scenario whose metrics are named `metric@rows`: rows down, systems across."""
    systems = list(outcome.figures)
    lines = [f"### {outcome.title}", "", _row(["rows", *systems]), _row(["---"] * (1 + len(systems)))]
    named = [metric for metric in outcome.metrics() if "@" in metric]
    for metric in sorted(named, key=lambda name: int(name.partition("@")[2])):
        cells = [spread(outcome.spread(system, metric)) for system in systems]
        lines.append(_row([f"{int(metric.partition('@')[2]):,}", *cells]))
    lines += ["", *_remarks(outcome)]
    return "\n".join(lines).rstrip()


def _worst(outcome: Outcome) -> str:
    """Return the greatest figures of a scenario of one system whose metrics are named `metric@rows`."""
    (system,) = outcome.figures
    found = {metric: one for metric in outcome.metrics() if "@" in metric and (one := outcome.spread(system, metric))}
    worst = sorted(found, key=lambda metric: -found[metric].median)[:WORST]
    head = f"The greatest {len(worst)} of {len(found)} sizes:"
    lines = [f"### {outcome.title}", "", head, "", _row(["rows", system]), _row(["---", "---"])]
    lines += [_row([f"{int(metric.partition('@')[2]):,}", spread(found[metric])]) for metric in worst]
    lines += ["", *_remarks(outcome)]
    return "\n".join(lines).rstrip()


def tables(results: Results) -> str:
    """Return the tables of all scenarios."""
    return "\n\n".join(outcome_table(outcome) for outcome in results.outcomes.values())


def images(plots: Sequence[Path]) -> str:
    """Return the plots with their descriptions; they are in a folder beside the document."""
    return "\n\n".join(f"![{CAPTIONS[path.stem]}]({path.parent.name}/{path.name})" for path in plots)


def fill_place(document: str, name: str, text: str) -> str:
    """Return a document with the text between two markers replaced.

    Raises:
        NoMarker: if one is not there.
    """
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise NoMarker(f"the document has no {begin} ... {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def fill(document: str, results: Results, plots: Sequence[Path]) -> str:
    """Return a document with the text between its markers replaced.

    Raises:
        NoMarker: if a marker is not there.
    """
    texts = (machine_text(results), goals_table(results), images(plots), tables(results))
    parts = dict(zip(MARKERS, texts, strict=True))
    for name in MARKERS:
        document = fill_place(document, name, parts[name])
    return document


def _remarks(outcome: Outcome) -> list[str]:
    busy = [(max(values), system) for system in outcome.figures if (values := outcome.values(system, "client_busy"))]
    remarks = list(outcome.notes)
    if busy:
        share, system = max(busy)
        remarks.append(f"The client was busy {share:.0%} of the time at most ({system}).")
        if share > 0.9:
            remarks.append("**Where it is near 100%, the client is the limit and the server may be faster.**")
    remarks += _lateness(outcome)
    remarks += [f"Skipped, {system}: {_short(reason)}." for system, reason in _group(outcome.skipped)]
    return [" ".join(remarks)] if remarks else []


def _lateness(outcome: Outcome) -> list[str]:
    """Describe the lateness of the client, with a warning where it may dominate a measured latency."""
    late = {system: found for system in outcome.figures if (found := outcome.spread(system, "late_p99_ms"))}
    if not late:
        return []
    doubtful = [
        system
        for system, found in late.items()
        if (p99 := outcome.spread(system, "p99_ms")) and found.median > p99.median * DOUBTFUL
    ]
    said = [f"The client itself was late by {number(max(found.median for found in late.values()))} ms at most (p99)."]
    if doubtful:
        said.append(f"**Its lateness is a good part of the p99 of: {', '.join(doubtful)}; the machine was not quiet.**")
    return said


def _group(skipped: dict[str, str]) -> list[tuple[str, str]]:
    """Return the skipped systems with their reasons, grouped by kind of reason."""
    return (
        list(skipped.items())
        if len(skipped) <= 4
        else [("several", "; ".join(f"{k}: {_short(v)}" for k, v in skipped.items()))]
    )


def _show_reached(verdict: Verdict) -> str:
    return {True: "yes", False: "**no**", None: ""}[verdict.reached]


def _short(reason: str) -> str:
    return " ".join(reason.split())[:160].replace("|", "/")


def _list(cores: list[int]) -> str:
    return ", ".join(map(str, cores))


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
