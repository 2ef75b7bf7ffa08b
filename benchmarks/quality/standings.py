"""Compare systems: figures with errors, ranks, and differences on the same rows.

It must not know how systems work or how a document looks.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.quality.findings import Finding

MOST_LACKING = 0.1  # share of the tables without a figure of a system that is ranked


class Figure(NamedTuple):
    """The mean log loss or RMSE over the splits, and the standard error of it over the rows."""

    value: float
    error: float


class Gain(NamedTuple):
    """By how much the mean loss of one system is below another's on the same rows, and the standard error of that."""

    mean: float
    error: float

    def is_within(self, errors: float) -> bool:
        """Return whether the system is better, or worse by at most this many standard errors."""
        return self.mean >= -errors * self.error


class Standings:
    """The findings by table and system, over the splits that are whole.

    A split of a table is whole, and counts, if each ranked system that has figures of the table has one of this split:
    one that is measured in part neither hides nor changes the figures of the others.

    Attributes:
        files: the tables, in the order of their first finding.
        systems: those with any figure, in the order given.
        ranked: those of them that lack at most a tenth of the tables, or one of a few: a system that was measured on
            some tables does not confine the ranks of all others to these.
    """

    def __init__(self, findings: Iterable[Finding], systems: Sequence[str]) -> None:
        found: dict[str, dict[str, dict[int, Finding]]] = {}
        for each in findings:
            by_system = found.setdefault(each.cell.file, {})
            if not each.problem and each.cell.system in systems:
                by_system.setdefault(each.cell.system, {})[each.cell.seed] = each
        self._found = {file: by_system for file, by_system in found.items() if by_system}
        self.files = tuple(self._found)
        lacking = {name: sum(name not in by_system for by_system in self._found.values()) for name in systems}
        self.systems = tuple(name for name in systems if lacking[name] < len(self.files))
        most = max(1, int(MOST_LACKING * len(self.files)))
        self.ranked = tuple(name for name in self.systems if lacking[name] <= most)
        self._whole = {file: self._whole_splits(file) for file in self.files}

    def of(self, file: str, system: str) -> tuple[Finding, ...]:
        """Return the findings of the splits that are whole, in their order; a system without a rank may lack some."""
        seeds = self._found[file].get(system, {})
        return tuple(seeds[seed] for seed in self._whole[file] if seed in seeds)

    def all_of(self, file: str, system: str) -> tuple[Finding, ...]:
        """Return the findings of a system on a table, also of a split that is not whole."""
        return tuple(self._found[file].get(system, {}).values())

    def whole(self, file: str) -> tuple[int, ...]:
        """Return the numbers of the splits of a table that are whole."""
        return self._whole[file]

    def by_split(self) -> dict[int, Standings]:
        """Return the standings of each split alone, on the tables where it is whole, by its number."""
        found: dict[int, list[Finding]] = {}
        for file in self.files:
            for system in self.systems:
                for each in self.of(file, system):
                    found.setdefault(each.cell.seed, []).append(each)
        return {seed: Standings(found[seed], self.systems) for seed in sorted(found)}

    def figure(self, file: str, system: str) -> Figure | None:
        """Return the figure of a system on a table, or None."""
        found = self.of(file, system)
        return _figure(found) if found else None

    def ranks(self) -> dict[str, dict[str, float]]:
        """Return the rank of each ranked system, by table, where all of them have a figure; equal ones share."""
        ranks = {}
        for file in self.files:
            figures = {system: figure.value for system in self.ranked if (figure := self.figure(file, system))}
            if len(figures) == len(self.ranked):
                ranks[file] = rank(figures)
        return ranks

    def mean_ranks(self) -> dict[str, float]:
        """Return the mean rank of each ranked system, best first; empty if no table has a figure of all of them."""
        ranks = self.ranks().values()
        means = {system: statistics.fmean(each[system] for each in ranks) for system in self.ranked} if ranks else {}
        return dict(sorted(means.items(), key=lambda pair: pair[1]))

    def gain(self, file: str, system: str, other: str) -> Gain | None:
        """Return by how much a system is better than another on a table, in the splits of both; None without any."""
        ours, theirs = ({each.cell.seed: each for each in self.of(file, name)} for name in (system, other))
        pairs = [(_losses(ours[seed]), _losses(theirs[seed])) for seed in ours if seed in theirs]
        return mean_gain(pairs) if pairs else None

    def gain_over_best(self, file: str, system: str, others: Sequence[str]) -> tuple[str, Gain] | None:
        """Return the best of some others on a table and the gain over it; None if a figure is lacking."""
        figures = {other: figure.value for other in others if (figure := self.figure(file, other))}
        if not figures:
            return None
        best = min(figures, key=lambda other: figures[other])
        gain = self.gain(file, system, best)
        return None if gain is None else (best, gain)

    def _whole_splits(self, file: str) -> tuple[int, ...]:
        ranked = {name: seeds for name, seeds in self._found[file].items() if name in self.ranked}
        return tuple(sorted(set.intersection(*map(set, (ranked or self._found[file]).values()))))


def rank(figures: Mapping[str, float]) -> dict[str, float]:
    """Return ranks from 1, the smallest figure first; equal ones share the mean of their ranks."""
    values = list(figures.values())
    return {
        name: 1 + sum(other < value for other in values) + (values.count(value) - 1) / 2
        for name, value in figures.items()
    }


def mean_gain(pairs: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]) -> Gain:
    """Return the mean gain over splits, each given as losses of both systems, (n,) each, on the same rows.

    Splits share rows, so several have the error of one, on average, and not a smaller one.
    """
    gains = [theirs - ours for ours, theirs in pairs]
    errors = [_standard_error(gain) for gain in gains]
    return Gain(
        statistics.fmean(float(gain.mean()) for gain in gains), math.sqrt(statistics.fmean(e**2 for e in errors))
    )


def _figure(found: Sequence[Finding]) -> Figure:
    """Return mean and standard error; of an RMSE by the delta method."""
    values, errors = [], []
    for each in found:
        losses = _losses(each)
        value, error = float(losses.mean()), _standard_error(losses)
        if each.task == "regression":
            value = math.sqrt(value)
            error = error / (2 * value) if value else 0.0
        values.append(value)
        errors.append(error**2)
    return Figure(statistics.fmean(values), math.sqrt(statistics.fmean(errors)))


def _losses(found: Finding) -> npt.NDArray[np.float64]:
    return np.array(found.losses)


def _standard_error(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf
