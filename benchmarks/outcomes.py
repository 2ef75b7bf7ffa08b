"""Results: the figures of each system, one per round, and the ratios between them.

It must not know how they are measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

FAILED = "all"  # in `Outcome.skipped`: the scenario broke off


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of a few values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


class Outcome(BaseModel):
    """What one scenario gave.

    Attributes:
        scenario: its name.
        title: for people.
        reference: the system that the others are compared with in the table, if any.
        compared_by: the metric that they are compared by; the first one if not given.
        plan: quick or full.
        measured: when, UTC, ISO 8601.
        figures: system -> metric -> one value a round; a metric's name ends in its unit.
        skipped: system -> why it was not measured.
        notes: what a reader has to know.
    """

    model_config = ConfigDict(strict=True, extra="forbid")

    scenario: str
    title: str
    reference: str | None = None
    compared_by: str = ""
    plan: str = ""
    measured: str = ""
    figures: dict[str, dict[str, list[float]]] = {}
    skipped: dict[str, str] = {}
    notes: list[str] = []

    def add(self, system: str, **metrics: float) -> None:
        """Note the figures of one round."""
        for metric, value in metrics.items():
            self.figures.setdefault(system, {}).setdefault(metric, []).append(float(value))

    def values(self, system: str, metric: str) -> list[float]:
        """Return the values of all rounds, or nothing."""
        return self.figures.get(system, {}).get(metric, [])

    def spread(self, system: str, metric: str) -> Spread | None:
        """Return median and range, or None if it was not measured."""
        values = self.values(system, metric)
        return Spread.of(values) if values else None

    def ratio(self, system: str, reference: str, metric: str, reference_metric: str | None = None) -> Spread | None:
        """Return a system's figure over another's, round by round, since a machine's speed drifts between rounds."""
        above = self.values(system, metric)
        below = self.values(reference, reference_metric or metric)
        ratios = [a / b for a, b in zip(above, below, strict=False) if b]
        return Spread.of(ratios) if ratios else None

    def metrics(self) -> Iterator[str]:
        """Yield the names of all metrics once, in the order of their coming."""
        yield from dict.fromkeys(metric for figures in self.figures.values() for metric in figures)


class Machine(BaseModel):
    """Where it was measured."""

    model_config = ConfigDict(strict=True, extra="forbid")

    processor: str
    cores: int
    system: str
    python: str
    libraries: dict[str, str]
    client: str
    server_cores: list[int]
    client_cores: list[int]
    load_average: float


class Results(BaseModel):
    """All outcomes of a run, in the order of measuring."""

    model_config = ConfigDict(strict=True, extra="forbid")

    machine: Machine
    outcomes: dict[str, Outcome] = {}

    def write(self, path: Path) -> None:
        """Write the results as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.model_dump_json(indent=1), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote."""
        return cls.model_validate_json(path.read_bytes())
