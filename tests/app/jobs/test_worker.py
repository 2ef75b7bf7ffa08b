"""The job worker: which jobs it claims and how it ends them.

With real processes and tables.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.jobs import database as databases
from app.jobs.records import JobStatus, TrainingJob
from app.settings import Settings
from tests.app.databases import searching
from tests.app.runners import Trainings, alive, lock, noted, trainings
from tests.app.waiting import until


@pytest.mark.slow
def test_shutdown_interrupts_what_runs_and_the_next_process_runs_what_waits(
    settings: Settings, child: Callable[[str], None]
) -> None:
    child("end('failed', 'enough') if sys.argv[2] == 'blobs' else signal.pause()")
    with trainings(settings) as here:
        running, waiting = here.start("iris"), here.start("blobs")
        pid = noted()
    until(lambda: not alive(pid), "the end of the process")

    with trainings(settings) as here:
        assert here.ended(waiting).detail == "enough"
        ended = here.get(running)
    assert (ended.status, ended.reason, ended.detail) == (
        JobStatus.INTERRUPTED,
        "interrupted",
        "the service was stopped",
    )


@pytest.mark.slow
def test_at_most_so_many_run_at_once_over_all_processes(settings: Settings, child: Callable[[str], None]) -> None:
    child("open(sys.argv[2], 'w').close(); signal.pause()")
    two = settings.model_copy(update={"train_concurrency": 2})
    with trainings(two) as here, trainings(two) as there:
        jobs = [here.start("iris"), there.start("blobs"), here.start("cancer")]
        until(lambda: Path("iris").exists() and Path("blobs").exists(), "two trainings")

        assert [here.get(job).status for job in jobs] == [JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.QUEUED]
        until(
            lambda: there.runner.count_unfinished() == {"queued": 1, "running": 2, "searching": 0},
            "the figures of the other process",
        )
        there.call(there.runner.cancel, jobs[0].id)
        until(Path("cancer").exists, "the third training")


@pytest.mark.slow
def test_process_that_runs_no_trainings_takes_them_for_others(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    none = settings.model_copy(update={"train_concurrency": 0})
    with trainings(none) as here:
        job = here.start()
        assert here.call(here.runner.wait, job.id, 1.5).status == JobStatus.QUEUED

        with trainings(settings):
            assert here.ended(job).detail == "enough"


def test_end_that_cannot_be_written_is_written_when_it_can(
    here: Trainings, child: Callable[[str], None], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_MS", 100)
    child("signal.signal(signal.SIGUSR1, lambda *_: (end('failed', 'enough'), sys.exit())); signal.pause()")
    job = here.start()
    pid = noted()
    until(lambda: here.get(job).progress, "the first epoch")
    with lock(settings):
        os.kill(pid, signal.SIGUSR1)
        until(lambda: not alive(pid), "the end of the process")
        with pytest.raises(StoreUnavailable):
            here.start("blobs")
        assert here.get(job).status == JobStatus.RUNNING

    assert here.ended(job).detail == "enough"
    assert [number for number, _ in here.lines(job)] == [1, 2]


@pytest.mark.slow
def test_old_jobs_go_when_new_ones_end(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    with trainings(settings.model_copy(update={"keep_jobs": 2})) as here:
        ended = [here.ended(here.start()) for _ in range(4)]
        until(lambda: len(here.call(here.runner.list)[0]) == 2, "the removal of old jobs")

        assert [job.id for job in here.call(here.runner.list)[0]] == [ended[3].id, ended[2].id]


SEARCHES = "open('searches' if '--only-search' in sys.argv else 'trains', 'w').close(); signal.pause()"


def search(here: Trainings, workers: int = 3) -> list[TrainingJob]:
    """Start a training that is a search; return it and its search jobs."""
    training = here.call(here.runner.start, searching(workers))
    return [training, *(job for job in jobs_of(here) if job.search_of)]


def jobs_of(here: Trainings) -> list[TrainingJob]:
    """Return all jobs, the oldest first."""
    return here.call(here.runner.list)[0][::-1]


@pytest.mark.usefixtures("seldom")
def test_search_jobs_go_round_the_processes_one_at_a_look(settings: Settings, child: Callable[[str], None]) -> None:
    child(SEARCHES)
    many = settings.model_copy(update={"train_concurrency": 9})
    with trainings(many) as here:
        search(here, 4)
        until(Path("trains").exists, "the training")
        assert not Path("searches").exists()

        with trainings(many):
            until(Path("searches").exists, "a search job")
            assert sorted(job.status for job in jobs_of(here)) == ["queued", "queued", "running", "running"]


def test_search_jobs_wait_behind_a_training_that_runs_alone_and_end_with_it(
    here: Trainings, child: Callable[[str], None]
) -> None:
    child("end('failed', 'trained')")

    training, *searches = search(here)
    ended = here.ended(training)

    assert ended.detail == "trained"
    for job in map(here.get, searches):
        assert (job.reason, job.started, job.detail) == (
            "cancelled",
            None,
            f"training {ended.id} ended before this began",
        )
    assert here.reasons == ["failed"]


def test_cancellation_of_a_training_ends_its_search_jobs_in_all_processes(
    settings: Settings, child: Callable[[str], None]
) -> None:
    child(SEARCHES)
    with trainings(settings) as here, trainings(settings) as there:  # one training and one search job each at most
        training, *searches = search(here)
        until(Path("searches").exists, "a search job")
        until(lambda: here.runner.count_unfinished() == {"queued": 0, "running": 1, "searching": 1}, "the figures")

        there.call(there.runner.cancel, training.id)

        assert {here.ended(job).reason for job in (training, *searches)} == {"cancelled"}
        until(lambda: here.reasons + there.reasons, "the count")
    assert here.reasons + there.reasons == ["cancelled"]


def test_retry_of_a_search_job_repeats_its_training(here: Trainings, child: Callable[[str], None]) -> None:
    child("end('failed', 'trained')")
    training, first, _ = search(here)
    here.ended(training)

    again = here.call(here.runner.retry, first.id)

    assert (again.search_of, again.retry_of, again.request) == (None, first.id, training.request)
    here.ended(again)
