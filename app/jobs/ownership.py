"""Values exchanged between owners of jobs and the job table: claims, reports, running jobs.

This module must not know tables or processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.jobs.records import TrainingJob


class ClaimLost(Exception):
    """The job belongs to another owner now, or has ended."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job, and the token that proves its ownership."""

    job: TrainingJob
    token: str


class Asked(NamedTuple):
    """What clients asked of the owner of a running job.

    Attributes:
        cancel: to end it without a version.
        finish: to end it early, and to publish what it has learnt by then.
    """

    cancel: bool
    finish: bool


@dataclass(frozen=True, slots=True)
class Report:
    """Changes of a running job, reported by its owner.

    Attributes:
        lines: new events.
        values: changed columns: `progress`, `log`, `version_before`, `finish_requested`.
        alive: whether the report counts as a heartbeat.
    """

    lines: Sequence[str] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    alive: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """A running job as other processes see it.

    Attributes:
        heartbeat: grows as long as the owner lives.
        search_of: training for which it only tries settings; None of a training.
    """

    number: int
    model: str
    owner: str
    token: str
    heartbeat: int
    search_of: str | None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Numbers of queued trainings and search jobs, and the running jobs, over all processes."""

    queued: int
    queued_searches: int
    running: tuple[Running, ...]
