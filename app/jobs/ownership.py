"""What owners of jobs and the job table tell each other, as values; it must not know tables or processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.jobs.records import TrainingJob


class ClaimLost(Exception):
    """The job is another's by now, or has ended."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job, and the token that shows whose it is."""

    job: TrainingJob
    token: str


@dataclass(frozen=True, slots=True)
class Report:
    """What an owner has to say about a running job.

    Attributes:
        lines: events that are new.
        values: columns that are new: `progress`, `log`, `version_before`.
        alive: whether this counts as a sign of life.
    """

    lines: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    alive: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A running job as others see it; `heartbeat` grows as long as the owner lives."""

    number: int
    model: str
    owner: str
    token: str
    heartbeat: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What waits and what runs, over all processes."""

    queued: int
    running: tuple[Running, ...]
