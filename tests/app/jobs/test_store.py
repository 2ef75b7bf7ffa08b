"""The job table as requests see it: what it keeps and refuses, and its errors."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.datasets.folders import content_id
from app.errors import StoreUnavailable
from app.jobs import database as databases
from app.jobs.claims import Claims
from app.jobs.errors import IdempotencyKeyReused, JobConflict, JobEnded, JobNotFound, QueueFull
from app.jobs.ownership import Asked, Report
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from app.jobs.tablefile import DATABASE_FILE
from modelstore import Dialect, JobResult, LeftOut, Overrides, Split, from_line
from tests.app.databases import LIMIT, add, add_search, claimed, failure, opened, searching

ASKED = TrainingRequest(
    model="churn",
    dataset="churn-2026",
    target="churned",
    features=("age", "months, since"),
    types={"age": "categorical"},
    split=Split(time="since"),
    missing_values=("", "x"),
    overrides=Overrides(epochs=3, hidden=(4, 2)),
    activate="never",
    timeout_s=60.5,
    memory_bytes=6 << 30,
)


def test_new_job_is_queued_with_what_was_asked_for(store: JobStore) -> None:
    left_out = (LeftOut(name="id", reason="id", detail="unique in all rows"),)
    job = store.add(ASKED, limit=LIMIT, left_out=left_out, data_sha256="ab" * 32, retry_of="earlier")

    assert job == store.get(job.id)
    assert (job.request, job.left_out) == (ASKED, left_out)
    assert (job.status, job.queue_position, job.ended) == (JobStatus.QUEUED, 1, False)
    assert (job.data_sha256, job.retry_of) == ("ab" * 32, "earlier")
    assert (job.reason, job.detail, job.progress, job.result, job.log) == (None, None, None, None, ())
    assert (job.started, job.finished, job.version_before, job.cancel_requested) == (None, None, None, False)


def test_model_has_one_job_that_has_not_ended_and_a_second_is_told_which(store: JobStore, claims: Claims) -> None:
    first = add(store)
    with pytest.raises(JobConflict) as queued:
        add(store)
    claim = claimed(claims)
    with pytest.raises(JobConflict) as running:
        add(store)
    claims.finish(claim, failure())

    assert all(f"training {first.id} " in str(conflict.value) for conflict in (queued, running))
    assert add(store).number > first.number


def test_of_many_requests_at_once_for_one_model_one_is_accepted(store: JobStore) -> None:
    def attempt(_: int) -> TrainingJob | None:
        try:
            return add(store)
        except JobConflict:
            return None

    with ThreadPoolExecutor(16) as pool:
        accepted = [job for job in pool.map(attempt, range(32)) if job]

    assert len(accepted) == 1


def test_queue_takes_so_many_jobs_and_no_more(store: JobStore, claims: Claims) -> None:
    for number in range(3):
        store.add(TrainingRequest(model=f"m{number}"), limit=3)

    with pytest.raises(QueueFull, match=r"^3 trainings wait"):
        store.add(TrainingRequest(model="m3"), limit=3)
    claimed(claims)

    assert store.add(TrainingRequest(model="m3"), limit=3).queue_position == 3


def test_key_that_came_before_names_the_job_that_it_made(store: JobStore, claims: Claims) -> None:
    first = store.add(ASKED, limit=LIMIT, idempotency_key="key")

    assert store.add(ASKED, limit=0, idempotency_key="key") == first
    claims.finish(claimed(claims), failure("churn"))
    assert store.add(ASKED, limit=LIMIT, idempotency_key="key").id == first.id
    with pytest.raises(IdempotencyKeyReused):
        add(store, idempotency_key="key")
    assert len(store.page()[0]) == 1


def test_requests_at_once_with_one_key_are_one_job(store: JobStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        jobs = list(pool.map(lambda _: store.add(ASKED, limit=LIMIT, idempotency_key="key").id, range(32)))

    assert len(set(jobs)) == 1


def test_queue_positions_count_from_the_next_one(store: JobStore, claims: Claims) -> None:
    for model in ("a", "b", "c"):
        add(store, model)
    claimed(claims)

    jobs, _ = store.page()

    assert [(job.model, job.queue_position) for job in jobs] == [("c", 2), ("b", 1), ("a", None)]


def test_pages_are_newest_first_filtered_and_complete(store: JobStore, claims: Claims) -> None:
    for number in range(7):
        add(store, "even" if number % 2 == 0 else "odd")
        claims.finish(claimed(claims), failure())
    last = add(store, "even")

    seen, before = [], None
    while True:
        page, before = store.page(before=before, limit=3)
        seen += page
        if before is None:
            break

    assert [job.number for job in seen] == sorted((job.number for job in seen), reverse=True)
    assert len(seen) == 8
    assert len(store.page(model="odd")[0]) == 3
    assert store.page(status=JobStatus.QUEUED) == ([last], None)
    assert [job.model for job in store.page(model="even", status=JobStatus.FAILED, limit=2)[0]] == ["even"] * 2
    assert store.page(model="nobody") == ([], None)


def test_queued_job_ends_at_once_when_it_is_cancelled(store: JobStore, claims: Claims) -> None:
    job = store.cancel(add(store).id)

    assert (job.status, job.reason, job.started, job.queue_position) == (JobStatus.CANCELLED, "cancelled", None, None)
    assert claims.claim(100) is None
    assert [from_line(line) for _, line in store.events(job.number, 0)[0]] == [
        JobResult(reason="cancelled", detail="cancelled before it began", model="iris")
    ]


def test_cancelling_a_running_job_asks_its_owner(store: JobStore, claims: Claims) -> None:
    add(store)
    claim = claimed(claims)

    job = store.cancel(claim.job.id)

    assert (job.status, job.cancel_requested, job.finish_requested) == (JobStatus.RUNNING, True, False)


def test_finishing_a_running_job_asks_its_owner_and_a_queued_one_has_nothing_to_keep(
    store: JobStore, claims: Claims
) -> None:
    add(store)
    running = store.cancel(claimed(claims).job.id, keep=True)
    queued = store.cancel(add(store, "other").id, keep=True)

    assert (running.status, running.cancel_requested, running.finish_requested) == (JobStatus.RUNNING, False, True)
    assert (queued.status, queued.finish_requested) == (JobStatus.CANCELLED, False)


def test_job_that_has_ended_or_never_was_cannot_be_cancelled(store: JobStore) -> None:
    job = store.cancel(add(store).id)

    with pytest.raises(JobEnded, match=job.id):
        store.cancel(job.id)
    assert store.get(job.id) == job
    for method in (store.cancel, store.get):
        with pytest.raises(JobNotFound):
            method("nobody")


def test_jobs_survive_reopening(store: JobStore, url: str | None, tmp_path: Path) -> None:
    job = store.cancel(add(store).id)
    queued = add(store)

    again = opened(url, tmp_path / "state")

    assert JobStore(again).page()[0] == [queued, job]
    again.close()


def test_data_set_in_use_is_the_one_of_its_dialect(store: JobStore) -> None:
    store.add(ASKED, limit=LIMIT, data_sha256="ab" * 32, dialect=Dialect(delimiter=";"))

    assert store.datasets_in_use() == {("churn-2026", content_id("ab" * 32, Dialect(delimiter=";")))}
    assert store.datasets_in_use() != {("churn-2026", "ab" * 32)}


def test_data_sets_are_in_use_until_the_job_has_ended(store: JobStore, claims: Claims) -> None:
    store.add(ASKED, limit=LIMIT, data_sha256="ab" * 32)
    add(store)

    assert store.datasets_in_use() == {("churn-2026", "ab" * 32)}
    claim = claimed(claims)
    assert store.datasets_in_use() == {("churn-2026", "ab" * 32)}
    claims.finish(claim, failure("churn"))
    assert store.datasets_in_use() == frozenset()


def test_locked_database_makes_the_store_unavailable_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_MS", 20)
    database = opened(None, tmp_path)
    store = JobStore(database)
    add(store, "before")
    other = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="predictions are not affected"):
        add(store, "during")
    assert [job.model for job in store.page()[0]] == ["before"]

    other.execute("ROLLBACK")
    other.close()
    add(store, "after")
    assert [job.model for job in store.page()[0]] == ["after", "before"]
    database.close()


def test_search_jobs_are_added_with_their_training_and_take_no_place_of_another(store: JobStore) -> None:
    training, jobs = add_search(store, 3)

    assert (training.search_of, training.request.workers, len(jobs)) == (None, 3, 2)
    assert {(job.search_of, job.model, job.request.overrides.search) for job in jobs} == {(training.id, "iris", 40)}
    assert [job.queue_position for job in (training, *jobs)] == [1, None, None]
    assert store.add(TrainingRequest(model="blobs"), limit=2).queue_position == 2
    with pytest.raises(QueueFull):
        store.add(TrainingRequest(model="cancer"), limit=2)


def test_key_of_a_search_names_its_training(store: JobStore) -> None:
    first = store.add(searching(3), limit=LIMIT, idempotency_key="key")

    assert store.add(searching(3), limit=LIMIT, idempotency_key="key") == first
    with pytest.raises(IdempotencyKeyReused):
        store.add(searching(2), limit=LIMIT, idempotency_key="key")
    assert len(store.page()[0]) == 3


def test_running_search_job_does_not_hold_up_the_next_training_of_its_model(store: JobStore, claims: Claims) -> None:
    add_search(store, 2)
    training, search = claimed(claims), claimed(claims)

    claims.finish(training, failure())

    store.require_idle("iris")
    assert add(store).status == JobStatus.QUEUED
    assert store.get(search.job.id).status == JobStatus.RUNNING


@pytest.mark.parametrize("keep", [False, True])
def test_search_jobs_are_asked_to_end_with_their_training(store: JobStore, claims: Claims, keep: bool) -> None:
    training, (first, second) = add_search(store, 3)
    claimed(claims)
    search = claimed(claims)

    store.cancel(training.id, keep=keep)

    assert claims.report(search, Report()) == Asked(cancel=not keep, finish=keep)
    assert [store.get(job.id).status for job in (first, second)] == [JobStatus.RUNNING, JobStatus.QUEUED]


def test_search_job_is_cancelled_alone(store: JobStore, claims: Claims) -> None:
    training, (first, second) = add_search(store, 3)
    claim = claimed(claims)

    store.cancel(first.id)

    assert store.get(first.id).status == JobStatus.CANCELLED
    assert store.get(second.id).status == JobStatus.QUEUED
    assert claims.report(claim, Report()) == Asked(cancel=False, finish=False)
    assert store.get(training.id).status == JobStatus.RUNNING
