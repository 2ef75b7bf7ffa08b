"""Ends the jobs of owners that are gone, once each, whoever looks; it must not know how a training runs.

An owner is gone if its process has provably ended, or if it gave no sign of life for a lease on this process's own
clock. The latter only counts while the table can be written: an owner that is held up by the database is not dead. The
order is the fence: the claim is taken over, then the permit to publish is revoked, and only then is the end written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import StoreUnavailable
from app.jobs.outcome import ended, may_write, published
from app.jobs.ownership import Claim, ClaimLost, Running
from app.jobs.process.identity import is_provably_dead
from modelstore import JobResult, ModelRepository, PublishError

if TYPE_CHECKING:
    from app.jobs.claims import Claims

logger = logging.getLogger(__name__)


@dataclass
class _Watched:
    """What this process has seen of a running job: its last heartbeat, since when, and when others could write."""

    heartbeat: int
    since: float
    probed: float | None = None


class Recovery:
    """Looks at the running jobs of other processes; every method blocks and may raise StoreUnavailable."""

    def __init__(
        self,
        claims: Claims,
        repository: ModelRepository,
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claims = claims
        self._repository = repository
        self._lease_s = lease_s
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._taken: dict[str, tuple[Claim, bool]] = {}  # taken over, but the end is not written yet; and if certain

    def look(self, running: Collection[Running]) -> list[JobResult]:
        """Look at jobs that others run, and end those whose owner is gone; returns how they ended."""
        self._watched = {job.token: self._seen(job) for job in running}
        self._taken = {token: taken for token, taken in self._taken.items() if token in self._watched}
        results = []
        for job in running:
            if (taken := self._taken.get(job.token) or self._take(job)) and (result := self._end(*taken)):
                results.append(result)
        return results

    def _take(self, job: Running) -> tuple[Claim, bool] | None:
        """Take a job over whose owner is gone, and say whether that is certain; None if it lives, or may live.

        The claim is kept until its end is written: this process lives, so to all that look its job has an owner.
        """
        dead = is_provably_dead(job.owner)
        if not dead and not (self._is_silent(self._watched[job.token]) and may_write(self._repository, job.model)):
            return None  # who cannot take a permit back leaves the job to those who can
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
        """Tell whether an owner could have given a sign of life for a lease, but gave none."""
        now = self._clock()
        if job.probed is None and now - job.since >= self._lease_s * 2 / 3:
            try:
                self._claims.probe()
            except StoreUnavailable:
                return False
            job.probed = now
        return job.probed is not None and now - job.since >= self._lease_s and now - job.probed >= self._lease_s / 3

    def _end(self, claim: Claim, certain: bool) -> JobResult | None:
        """Write the end of a job that was taken over; None if that has to wait for the next look."""
        job = claim.job
        result = ended(job, "interrupted", "the service that ran it stopped before it ended")
        try:
            try:
                self._repository.revoke(job.model, job.id)
            except PublishError:
                if not certain:
                    raise
                # a training dies with its owner, so nobody is left to use the permit
            result = published(self._repository, job) or result
            self._claims.finish(claim, result)
        except (PublishError, OSError, StoreUnavailable, ClaimLost):
            logger.warning("the end of training job %s could not be written yet", job.id, exc_info=True)
            return None
        return result
