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
    """The findings by table and system; a system without a finding for each split of a table has no figure there.

    Attributes:
        files: the tables, in the order of their first finding.
        systems: the systems, in the order given.
    """

    def __init__(self, findings: Iterable[Finding], systems: Sequence[str]) -> None:
        found: dict[str, dict[str, dict[int, Finding]]] = {}
        for each in findings:
            by_system = found.setdefault(each.cell.file, {})
            if not each.problem and each.cell.system in systems:
                by_system.setdefault(each.cell.system, {})[each.cell.seed] = each
        self.files = tuple(file for file, by_system in found.items() if by_system)
        self.systems = tuple(name for name in systems if any(name in found[file] for file in self.files))
        self._seeds = {file: set().union(*found[file].values()) for file in self.files}
        self._found = found

    def of(self, file: str, system: str) -> tuple[Finding, ...]:
        """Return the findings of all splits in their order; none if one is lacking."""
        seeds = self._found[file].get(system, {})
        return tuple(seeds[seed] for seed in sorted(seeds)) if seeds.keys() == self._seeds[file] else ()

    def all_of(self, file: str, system: str) -> tuple[Finding, ...]:
        """Return the findings of a system on a table, also if a split is lacking."""
        return tuple(self._found[file].get(system, {}).values())

    def figure(self, file: str, system: str) -> Figure | None:
        """Return the figure of a system on a table, or None."""
        found = self.of(file, system)
        return _figure(found) if found else None

    def ranks(self) -> dict[str, dict[str, float]]:
        """Return the rank of each system, by table, on the tables where all have a figure; equal ones share."""
        ranks = {}
        for file in self.files:
            figures = {system: figure.value for system in self.systems if (figure := self.figure(file, system))}
            if len(figures) == len(self.systems):
                ranks[file] = rank(figures)
        return ranks

    def mean_ranks(self) -> dict[str, float]:
        """Return the mean rank of each system, best first; empty if there is no table where all have a figure."""
        ranks = self.ranks().values()
        means = {system: statistics.fmean(each[system] for each in ranks) for system in self.systems} if ranks else {}
        return dict(sorted(means.items(), key=lambda pair: pair[1]))

    def gain(self, file: str, system: str, other: str) -> Gain | None:
        """Return by how much a system is better than another on a table; None if one has no figure."""
        pairs = list(zip(self.of(file, system), self.of(file, other), strict=False))
        return mean_gain([(_losses(one), _losses(two)) for one, two in pairs]) if pairs else None

    def gain_over_best(self, file: str, system: str, others: Sequence[str]) -> tuple[str, Gain] | None:
        """Return the best of some others on a table and the gain over it; None if a figure is lacking."""
        figures = {other: figure.value for other in others if (figure := self.figure(file, other))}
        if not figures:
            return None
        best = min(figures, key=lambda other: figures[other])
        gain = self.gain(file, system, best)
        return None if gain is None else (best, gain)


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
