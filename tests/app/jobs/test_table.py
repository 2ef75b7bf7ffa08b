"""Rows of the job table as jobs, and how the end of one is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.jobs.claims import Claims
from app.jobs.database import Database
from app.jobs.ownership import Asked, Report
from app.jobs.records import JobStatus
from app.jobs.store import JobStore
from modelstore import JobResult
from tests.app.databases import add, add_search, claimed, failure


def test_moments_are_in_utc_and_in_order(store: JobStore, claims: Claims) -> None:
    before = datetime.now(UTC)
    job_id = add(store).id
    claims.finish(claimed(claims), failure())

    job = store.get(job_id)

    assert job.started is not None
    assert job.finished is not None
    assert before <= job.created <= job.started <= job.finished <= datetime.now(UTC)
    assert [moment.utcoffset() for moment in (job.created, job.started, job.finished)] == [timedelta(0)] * 3


ENDS = {
    "succeeded": JobStatus.SUCCEEDED,
    "cancelled": JobStatus.CANCELLED,
    "interrupted": JobStatus.INTERRUPTED,
    "failed": JobStatus.FAILED,
    "timed_out": JobStatus.FAILED,
    "out_of_memory": JobStatus.FAILED,
    "diverged": JobStatus.FAILED,
    "disk_full": JobStatus.FAILED,
    "bad_data": JobStatus.FAILED,
}


def test_every_reason_has_its_status(store: JobStore, claims: Claims) -> None:
    for reason, status in ENDS.items():
        add(store)
        claim = claimed(claims)
        claims.finish(claim, JobResult.model_validate({"reason": reason, "detail": "so", "model": "iris"}))

        assert (store.get(claim.job.id).reason, store.get(claim.job.id).status) == (reason, status)


def test_numbers_of_removed_jobs_are_not_used_again(database: Database) -> None:
    store = JobStore(database)
    last = store.cancel(add(store).id)
    Claims(database, "somebody").retain(0)

    assert store.page() == ([], None)
    assert add(store).number == last.number + 1


@pytest.mark.parametrize("reason", ["succeeded", "failed", "cancelled", "interrupted"])
def test_search_jobs_end_with_their_training(store: JobStore, claims: Claims, reason: str) -> None:
    training, (running, waiting) = add_search(store, 3)
    claim, search = claimed(claims), claimed(claims)

    claims.finish(claim, JobResult.model_validate({"reason": reason, "detail": "so", "model": "iris"}))

    good = reason == "succeeded"
    ended = store.get(waiting.id)
    assert (ended.reason, ended.started, ended.queue_position) == ("succeeded" if good else "cancelled", None, None)
    assert ended.detail == f"training {training.id} ended before this began"
    assert "version" not in (ended.result or {})
    assert len(store.events(waiting.number, 0)[0]) == 1
    assert claims.report(search, Report()) == Asked(cancel=not good, finish=good)
    assert store.get(running.id).status == JobStatus.RUNNING
