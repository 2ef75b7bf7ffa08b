"""The job table: what it keeps, and what it says when it cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import jobstore
from app.errors import JobNotFound, StoreUnavailable
from app.jobstore import DATABASE_FILE, JobStatus, JobStore, TrainingJob
from tests.app.orphans import leave_jobs_behind


def opened(folder: Path) -> JobStore:
    store = JobStore(folder)
    store.open()
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = opened(tmp_path / "state")
    yield store
    store.close()


def add(store: JobStore, job_id: str = "a") -> TrainingJob:
    return store.add(job_id, "iris", "if_better", {"epochs": 3, "hidden": [4, 2]})


def test_new_job_is_queued_with_what_was_asked_for(store: JobStore) -> None:
    job = add(store)

    assert job == store.get("a")
    assert (job.id, job.model, job.status, job.activate) == ("a", "iris", JobStatus.QUEUED, "if_better")
    assert job.overrides == {"epochs": 3, "hidden": [4, 2]}
    assert (job.reason, job.detail, job.progress, job.result, job.started, job.finished) == (None,) * 6


def test_moments_are_in_utc_and_in_order(store: JobStore) -> None:
    before = datetime.now(UTC)
    add(store)
    store.start("a")
    store.finish("a", JobStatus.SUCCEEDED, "succeeded", "version 1 is active")

    job = store.get("a")

    assert job.started is not None
    assert job.finished is not None
    assert before <= job.created <= job.started <= job.finished <= datetime.now(UTC)
    assert job.created.utcoffset() == timedelta(0)


def test_running_job_keeps_its_latest_epoch(store: JobStore) -> None:
    add(store)
    store.start("a")
    store.report("a", {"epoch": 1})
    store.report("a", {"epoch": 2})

    assert store.get("a").status == JobStatus.RUNNING
    assert store.get("a").progress == {"epoch": 2}


CHANGES: dict[str, Callable[[JobStore], object]] = {
    "start": lambda store: store.start("a"),
    "report": lambda store: store.report("a", {"epoch": 9}),
    "finish": lambda store: store.finish("a", JobStatus.FAILED, "failed", "again"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("end", [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.INTERRUPTED])
def test_job_ends_once(store: JobStore, end: JobStatus, change: Callable[[JobStore], object]) -> None:
    add(store)
    store.start("a")
    store.finish("a", end, "why", "how", {"version": 1})
    ended = store.get("a")

    change(store)

    assert store.get("a") == ended
    assert (ended.status, ended.reason, ended.detail, ended.result) == (end, "why", "how", {"version": 1})


def test_jobs_survive_reopening(store: JobStore, tmp_path: Path) -> None:
    add(store)
    store.finish("a", JobStatus.FAILED, "bad_data", "row 3 has no class")
    job = store.get("a")
    store.close()

    again = opened(tmp_path / "state")

    assert again.get("a") == job
    again.close()


def test_jobs_survive_without_closing(store: JobStore, tmp_path: Path) -> None:
    job = add(store)

    again = opened(tmp_path / "state")

    assert again.get("a") == job
    again.close()


def test_unfinished_jobs_of_a_process_that_ended_are_interrupted_and_counted(store: JobStore, tmp_path: Path) -> None:
    leave_jobs_behind(tmp_path / "state")

    assert store.interrupt_orphans() == 2

    for job_id in ("queued", "running"):
        job = store.get(job_id)
        assert (job.status, job.reason) == (JobStatus.INTERRUPTED, "interrupted")
        assert job.finished is not None
    assert store.get("done").status == JobStatus.SUCCEEDED
    assert store.interrupt_orphans() == 0


def test_unfinished_jobs_of_a_living_process_are_left_alone(store: JobStore) -> None:
    add(store)
    store.start("a")

    assert store.interrupt_orphans() == 0
    assert store.get("a").status == JobStatus.RUNNING


def test_latest_jobs_come_newest_first_and_no_more_than_asked_for(store: JobStore) -> None:
    for number in range(12):
        add(store, f"job-{number}")

    assert [job.id for job in store.latest(3)] == ["job-11", "job-10", "job-9"]
    assert len(store.latest(100)) == 12


def test_unknown_job_is_not_found(store: JobStore) -> None:
    with pytest.raises(JobNotFound):
        store.get("nobody")


def test_folder_that_cannot_be_made_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreUnavailable, match="the state folder cannot be made: Not a directory"):
        JobStore(tmp_path / "file" / "state").open()


def test_file_that_is_no_database_makes_the_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"these are no pages" * 1000)
    store = JobStore(tmp_path)

    with pytest.raises(StoreUnavailable):
        store.open()
    store.close()


def test_locked_database_makes_the_store_unavailable_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobstore, "BUSY_TIMEOUT_MS", 20)
    store = opened(tmp_path)
    add(store, "before")
    other = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="predictions are not affected"):
        add(store, "during")
    assert [job.id for job in store.latest(10)] == ["before"]

    other.execute("ROLLBACK")
    other.close()
    add(store, "after")
    assert [job.id for job in store.latest(10)] == ["after", "before"]
    store.close()
