"""End the jobs of dead owners, exactly once, whichever process finds them.

An owner is dead if its process has provably ended, or if it sent no heartbeat for a lease on the clock of this process.
The latter counts only while the table can be written: an owner that is blocked by the database is not dead. Fencing
depends on the order: take over the claim, revoke the permit to publish, and only then write the end. This module must
not know how a training runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import StoreUnavailable
from app.jobs.outcome import end_result, find_published, may_write
from app.jobs.ownership import Claim, ClaimLost, Running
from app.jobs.process.identity import is_provably_dead
from modelstore import JobResult, ModelRepository, PublishError

if TYPE_CHECKING:
    from app.jobs.claims import Claims

logger = logging.getLogger(__name__)


@dataclass
class _Watched:
    """Observation of a running job.

    Attributes:
        heartbeat: the last one seen.
        since: time at which it was first seen.
        probed: time after that at which the table could be written; None before.
    """

    heartbeat: int
    since: float
    probed: float | None = None


class Recovery:
    """Watches the running jobs of other processes; every method blocks and may raise StoreUnavailable."""

    def __init__(
        self, claims: Claims, repository: ModelRepository, lease_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._claims = claims
        self._repository = repository
        self._lease_s = lease_s
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._taken: dict[str, tuple[Claim, bool]] = {}  # ends not written yet, and whether the owner is certainly dead

    def look(self, running: Collection[Running]) -> list[JobResult]:
        """Check the running jobs of other processes, end those of dead owners, and return the trainings' results."""
        self._watched = {job.token: self._seen(job) for job in running}
        self._taken = {token: taken for token, taken in self._taken.items() if token in self._watched}
        results = []
        for job in running:
            taken = self._taken.get(job.token) or self._take(job)
            if taken and (result := self._end(*taken)) and job.search_of is None:
                results.append(result)
        return results

    def _take(self, job: Running) -> tuple[Claim, bool] | None:
        """Take over the job of a dead owner, and return whether its death is certain; None if it may be alive.

        The claim is kept until the end is written: this process is alive, so for all others the job has an owner.
        """
        dead = is_provably_dead(job.owner)
        if not dead and not (self._is_silent(self._watched[job.token]) and may_write(self._repository, job.model)):
            return None  # a process that cannot revoke the permit leaves the job to one that can
        claim = self._claims.take_over(job)
        if claim is None:
            return None
        logger.warning("the owner of training job %s is gone", claim.job.id)
        self._taken[claim.token] = claim, dead
        return claim, dead

    def _seen(self, job: Running) -> _Watched:
        before = self._watched.get(job.token)
        return before if before and before.heartbeat == job.heartbeat else _Watched(job.heartbeat, self._clock())

    def _is_silent(self, job: _Watched) -> bool:
        """Return whether an owner sent no heartbeat for a lease, although the table could be written."""
        now = self._clock()
        if job.probed is None and now - job.since >= self._lease_s * 2 / 3:
            try:
                self._claims.probe()
            except StoreUnavailable:
                return False
            job.probed = now
        return job.probed is not None and now - job.since >= self._lease_s and now - job.probed >= self._lease_s / 3

    def _end(self, claim: Claim, certain: bool) -> JobResult | None:
        """Write the end of a job that was taken over; None if that must be repeated at the next look."""
        job = claim.job
        result = end_result(job, "interrupted", "the service that ran it stopped before it ended")
        try:
            try:
                self._repository.revoke(job.model, job.id)
            except PublishError:
                if not certain:
                    raise
                # a training is killed with its owner, so no process is left to use the permit
            result = find_published(self._repository, job) or result
            self._claims.finish(claim, result)
        except (PublishError, OSError, StoreUnavailable, ClaimLost):
            logger.warning("the end of training job %s could not be written yet", job.id, exc_info=True)
            return None
        return result
