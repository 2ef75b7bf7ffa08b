"""What docs/quality.md shows: goals, ranks, figures, times and columns as tables.

It must not know how anything is measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.quality.findings import Finding
from benchmarks.quality.standings import Figure, Standings
from benchmarks.report import number

SIMPLE = ("boosting", "linear", "sklearn-linear")
NOISE_ERRORS = 2.0
WANTED_SPLITS = 5
FIRST_SYSTEMS = 3  # shown of each split
PUBLISHED = {
    "telco.csv": 0.4119,
    "titanic.csv": 0.4487,
    "penguins.csv": 0.2341,
    "adult_test_noheader.csv": 0.2773,
    "german_noheader.csv": 0.505,
    "phoneme_noheader.csv": 0.222,
    "letters.csv": 0.1416,
    "soybean.csv": 0.1565,
    "housing.csv": 43038.0,
    "diamonds.csv": 522.9,
    "insurance.csv": 3943.5,
    "concrete.csv": 4.2829,
    "taxis.csv": 0.55592,
}
"""AutoGluon 1.6.3, 60 s, on another split of these files: ../shared/tables/README.md."""
SHOWN_LEFT_OUT = 4


def write(standings: Standings, skipped: Sequence[str]) -> str:
    """Return all tables; `skipped` are sentences about systems that were not measured."""
    if not standings.files:
        return "Nothing is measured yet."
    parts = [
        "\n".join(f"* {sentence}" for sentence in (*goals(standings), *skipped)),
        _summary(standings),
        "Log loss in nats, or RMSE in the unit of the target, on the test rows, ± one standard error over them; in "
        "brackets the rank among the systems that have a mean rank, where all of these have a figure.",
        _figures(standings),
        "Seconds of the whole process, start of Python included, and microseconds of one row alone:",
        _times(standings),
        "The tables:",
        _columns(standings),
    ]
    return "\n\n".join(part for part in parts if part)


def goals(standings: Standings) -> list[str]:
    """Return a sentence about each goal of `auto` and `realmlp` that these findings can tell."""
    said, means = [], standings.mean_ranks()
    if "auto" in means:
        order = ", ".join(f"{name} {mean:.2f}" for name, mean in means.items())
        place = "the best" if means["auto"] == min(means.values()) else "not the best"
        said.append(f"`auto` has {place} mean rank on {len(standings.ranks())} tables: {order}.")
    over = {file: found for file in standings.files if (found := standings.gain_over_best(file, "auto", SIMPLE))}
    if over:
        behind = {file: best for file, (best, gain) in over.items() if not gain.is_within(1)}
        share = f"{len(over) - len(behind)} of {len(over)} tables ({1 - len(behind) / len(over):.0%}; goal 80 %)"
        names = ", ".join(f"{file} ({best})" for file, best in behind.items())
        which = " and ".join(name for name in SIMPLE if name in standings.systems)
        said.append(f"`auto` is as good as the best of {which}, within one standard error, on {share}{_but(names)}.")
    beside = {file: gain for file in standings.files if (gain := standings.gain(file, "auto", "mlp"))}
    if beside:
        names = ", ".join(file for file, gain in beside.items() if not gain.is_within(NOISE_ERRORS))
        where = f"on {names}" if names else "on no table"
        said.append(f"`auto` is worse than `mlp` by more than two standard errors {where} of {len(beside)}.")
    wins = [gain.mean > 0 for file in standings.files if (gain := standings.gain(file, "realmlp", "mlp"))]
    if wins:
        said.append(f"`realmlp` beats `mlp` on {sum(wins)} of {len(wins)} tables (goal 20).")
    return [*said, *_unranked(standings), *_splits(standings)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _but(names: str) -> str:
    return f"; it is behind on {names}" if names else ""


def _unranked(standings: Standings) -> list[str]:
    """Return a sentence about each system that was measured on too few tables for a rank."""
    said = []
    for system in (name for name in standings.systems if name not in standings.ranked):
        gains = [gain for file in standings.files if (gain := standings.gain(file, "auto", system))]
        wins = f"; `auto` is better on {sum(gain.mean > 0 for gain in gains)} of {len(gains)}" if gains else ""
        tables = sum(bool(standings.all_of(file, system)) for file in standings.files)
        said.append(f"`{system}` has no rank: it was measured on {tables} of {len(standings.files)} tables{wins}.")
    return said


def _splits(standings: Standings) -> list[str]:
    """Return a sentence about the mean ranks of each split, and the time of its processes."""
    said = []
    for seed, split in standings.by_split().items():
        took_s = sum(each.whole_s for file in split.files for name in split.systems for each in split.of(file, name))
        means = ", ".join(f"{name} {mean:.2f}" for name, mean in [*split.mean_ranks().items()][:FIRST_SYSTEMS])
        if means:
            said.append(f"split {seed} ({len(split.ranks())} tables, processes of {took_s / 3600:.1f} h) {means}")
    return [f"Mean ranks by split, {WANTED_SPLITS} of which are wanted: {'; '.join(said)}."] if said else []


def _summary(standings: Standings) -> str:
    """Return what each system does over all tables."""
    means, ranks, rows = standings.mean_ranks(), standings.ranks().values(), []
    for system in (*means, *(name for name in standings.systems if name not in means)):
        found = [each for file in standings.files for each in standings.of(file, system)]
        first = f"{sum(each[system] == min(each.values()) for each in ranks)}" if system in means else "-"
        middle = [statistics.median(values) for values in zip(*((f.whole_s, f.row_us) for f in found), strict=True)]
        most = [max(f.whole_s for f in found), max(f.peak_mb for f in found)] if found else []
        tables = sum(bool(standings.of(file, system)) for file in standings.files)
        mean = f"{means[system]:.2f}" if system in means else "-"
        rows.append([f"`{system}`", mean, first, str(tables), *map(number, (*middle, *most))])
    return table(
        ["system", "mean rank", "first", "tables", "s, median", "µs a row, median", "s, most", "MB, most"], rows
    )


def _figures(standings: Standings) -> str:
    ranks = standings.ranks()
    rows = []
    for file in standings.files:
        task = _any(standings, file).task
        cells = [
            _shown(standings.figure(file, system), ranks.get(file, {}).get(system)) for system in standings.systems
        ]
        elsewhere = f"{PUBLISHED[file]:.4g}" if file in PUBLISHED else "-"
        rows.append([f"`{file}`", "log loss" if task == "classification" else "RMSE", *cells, elsewhere])
    return table(["table", "figure", *standings.systems, "AutoGluon, other split"], rows)


def _shown(figure: Figure | None, rank: float | None) -> str:
    if figure is None:
        return "-"
    shown = f"{figure.value:.4g} ± {figure.error:.2g}"
    if rank is None:
        return shown
    return f"**{shown}** ({rank:g})" if rank == 1 else f"{shown} ({rank:g})"


def _times(standings: Standings) -> str:
    rows = []
    for file in standings.files:
        cells = []
        for system in standings.systems:
            found = standings.of(file, system)
            pairs = zip(*((each.whole_s, each.row_us) for each in found), strict=True)
            cells.append(" / ".join(number(statistics.fmean(values)) for values in pairs) or "-")
        rows.append([f"`{file}`", f"{_any(standings, file).rows:,}", *cells])
    return table(["table", "rows", *standings.systems], rows)


def _columns(standings: Standings) -> str:
    rows = []
    for file in standings.files:
        found = _any(standings, file)
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.columns.items())
        left, more = found.left_out[:SHOWN_LEFT_OUT], len(found.left_out) - SHOWN_LEFT_OUT
        names = ", ".join(left) + (f" and {more} more" if more > 0 else "")
        splits = f"{len(standings.whole(file))}"
        rows.append([f"`{file}`", found.task, splits, f"{found.rows:,}", kinds, names or "-"])
    return table(["table", "task", "splits", "rows", "columns by type", "left out"], rows)


def _any(standings: Standings, file: str) -> Finding:
    return next(found for system in standings.systems for found in standings.all_of(file, system))
