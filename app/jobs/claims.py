"""Worker view of the job table: claim, report, finish and take over jobs.

An owner holds a token for each of its jobs, and each of its writes requires that token: an owner that was wrongly
declared dead cannot change the job any more. This module must not know how a training runs.
"""

from __future__ import annotations

import secrets
from typing import Any

import sqlalchemy as sa

from app.jobs.database import Database
from app.jobs.ownership import Asked, Claim, ClaimLost, Report, Running, Unfinished
from app.jobs.records import UNFINISHED, JobStatus
from app.jobs.table import EVENTS, IS_TRAINING, IS_UNFINISHED, JOBS, SELECT_JOB, append, end, job_of, now
from modelstore import JobResult

KEEP_EVENTS_OF = 100  # newest ended trainings that keep their events; older ones keep only the result

_TRAINING = JOBS.alias()
# A search job whose training runs on.
_CAN_HELP = sa.exists().where(
    _TRAINING.c.id == JOBS.c.search_of,
    _TRAINING.c.status == JobStatus.RUNNING,
    _TRAINING.c.cancel_requested.is_(False),
    _TRAINING.c.finish_requested.is_(False),
)


class Claims:
    """The claims of one process; every method blocks and may raise StoreUnavailable."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    def find_unfinished(self) -> Unfinished:
        """Return the numbers of queued trainings and search jobs, and the running jobs."""
        columns = (JOBS.c.number, JOBS.c.model, JOBS.c.owner, JOBS.c.token, JOBS.c.heartbeat, JOBS.c.search_of)
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(JOBS.c.status, *columns).where(IS_UNFINISHED)).all()
        running = tuple(Running(*row[1:]) for row in rows if row.status == JobStatus.RUNNING)
        trainings = sum(row.status == JobStatus.QUEUED and row.search_of is None for row in rows)
        return Unfinished(trainings, len(rows) - len(running) - trainings, running)

    def claim(self, concurrency: int, *, searches: bool = True) -> Claim | None:
        """Claim the oldest queued training, or else a search job; None if there is none that may begin.

        A search job can be claimed while its training runs, and is not to end soon.

        Args:
            concurrency: most trainings that may run, over all processes.
            searches: whether to claim a search job if no training may begin.
        """
        with self._database.writing() as connection:
            running = sa.select(sa.func.count()).where(JOBS.c.status == JobStatus.RUNNING, IS_TRAINING)
            full = connection.execute(running).scalar_one() >= concurrency
            may_begin = sa.or_(sa.false() if full else IS_TRAINING, _CAN_HELP if searches else sa.false())
            queued = sa.select(JOBS.c.number).where(JOBS.c.status == JobStatus.QUEUED, may_begin)
            number = connection.execute(queued.order_by(JOBS.c.search_of.is_not(None), JOBS.c.number)).scalar()
            if number is None:
                return None
            return self._own(connection, number, status=JobStatus.RUNNING, started=now())

    def take_over(self, running: Running) -> Claim | None:
        """Take over the job of a dead owner; None if its heartbeat advanced, or another process took it first."""
        with self._database.writing() as connection:
            same = sa.select(JOBS.c.number).where(
                JOBS.c.number == running.number,
                JOBS.c.status == JobStatus.RUNNING,
                JOBS.c.token == running.token,
                JOBS.c.heartbeat == running.heartbeat,
            )
            if connection.execute(same).one_or_none() is None:
                return None
            return self._own(connection, running.number, heartbeat=running.heartbeat + 1)

    def probe(self) -> None:
        """Check that the table can be written now: then a silent owner is not blocked by the database.

        Raises:
            StoreUnavailable: if it cannot be written.
        """
        with self._database.writing(wait_ms=1):
            pass

    def report(self, claim: Claim, report: Report) -> Asked:
        """Write the changes of a running job, and return what clients asked of its owner.

        Raises:
            ClaimLost.
        """
        mine = sa.select(JOBS.c.cancel_requested, JOBS.c.finish_requested).where(_is_mine(claim))
        if not (report.lines or report.values or report.alive):
            with self._database.reading() as connection:
                asked = connection.execute(mine).one_or_none()
        else:
            with self._database.writing() as connection:
                self._write(connection, claim, report)
                asked = connection.execute(mine).one_or_none()
        if asked is None:
            raise ClaimLost
        return Asked(*asked)

    def finish(self, claim: Claim, result: JobResult, report: Report | None = None) -> None:
        """Write the last changes of a job, and its result.

        Raises:
            ClaimLost.
        """
        with self._database.writing() as connection:
            self._write(connection, claim, report or Report())
            end(connection, claim.job, result)

    def retain(self, keep_jobs: int) -> None:
        """Remove all but the newest `keep_jobs` ended trainings and the search jobs since then, and old events.

        Jobs older than the newest `KEEP_EVENTS_OF` ended ones keep only their last event, the result.
        """
        with self._database.writing() as connection:
            connection.execute(EVENTS.delete().where(EVENTS.c.job_number.in_(_select_ended_but(keep_jobs))))
            connection.execute(JOBS.delete().where(JOBS.c.number.in_(_select_ended_but(keep_jobs))))
            others = EVENTS.alias()
            last = sa.select(sa.func.max(others.c.seq)).where(others.c.job_number == EVENTS.c.job_number)
            old = EVENTS.c.job_number.in_(_select_ended_but(KEEP_EVENTS_OF))
            connection.execute(EVENTS.delete().where(old, EVENTS.c.seq < last.scalar_subquery()))

    def _own(self, connection: sa.Connection, number: int, **values: Any) -> Claim:
        token = secrets.token_hex(16)
        change = JOBS.update().where(JOBS.c.number == number).values(owner=self._owner, token=token, **values)
        connection.execute(change)
        return Claim(job_of(connection.execute(SELECT_JOB.where(JOBS.c.number == number)).one()), token)

    def _write(self, connection: sa.Connection, claim: Claim, report: Report) -> None:
        values = {"heartbeat": JOBS.c.heartbeat + int(report.alive), **report.values}
        if connection.execute(JOBS.update().where(_is_mine(claim)).values(**values)).rowcount == 0:
            raise ClaimLost
        append(connection, claim.job.number, report.lines)


def _is_mine(claim: Claim) -> sa.ColumnElement[bool]:
    return sa.and_(JOBS.c.number == claim.job.number, JOBS.c.token == claim.token, JOBS.c.status == JobStatus.RUNNING)


def _select_ended_but(newest: int) -> sa.Select[tuple[int]]:
    """Build a query for the numbers of all ended jobs except the newest trainings and the search jobs since then."""
    ended = sa.select(JOBS.c.number).where(JOBS.c.status.not_in(UNFINISHED), IS_TRAINING)
    oldest_kept = ended.order_by(JOBS.c.number.desc()).offset(newest - 1).limit(1).scalar_subquery()
    is_older = JOBS.c.number < oldest_kept if newest else sa.true()
    return sa.select(JOBS.c.number).where(JOBS.c.status.not_in(UNFINISHED), is_older)
