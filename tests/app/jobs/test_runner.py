"""The job runner: trainings are claimed, followed, ended and reported.

With real processes and real tables.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from app.jobs.errors import JobConflict
from app.jobs.records import JobStatus, TrainingRequest
from app.jobs.runner import LOOK_INTERVAL_S
from modelstore import Overrides
from tests.app.runners import Trainings
from tests.app.waiting import until


@pytest.mark.usefixtures("seldom")
def test_training_begins_at_once_and_its_epochs_are_told_before_it_ends(
    here: Trainings, child: Callable[[str], None]
) -> None:
    child("signal.pause()")
    job = here.start()

    until(lambda: here.get(job).progress, "the first epoch")

    assert here.get(job).status == JobStatus.RUNNING


def test_events_are_numbered_and_end_with_the_result(here: Trainings, child: Callable[[str], None]) -> None:
    child("for n in range(2, 9): epoch(n)\nsay(event='notice', message='nearly'); end('failed', 'enough')")
    job = here.start()

    lines = here.lines(job)

    assert [number for number, _ in lines] == list(range(1, 11))
    events = [json.loads(line) for _, line in lines]
    assert [event.get("epoch") for event in events[:8]] == list(range(1, 9))
    assert [event["event"] for event in events[8:]] == ["notice", "result"]
    assert here.lines(job, after=8) == lines[8:]
    assert here.lines(job, after=10) == []


def test_events_come_while_the_training_runs_also_in_another_process(
    here: Trainings, there: Trainings, child: Callable[[str], None]
) -> None:
    child("signal.pause()")
    job = here.start()

    async def first() -> tuple[int, str]:
        return await anext(there.runner.events(job.id))

    number, line = there.call(first)

    assert (number, json.loads(line)["epoch"]) == (1, 1)


@pytest.mark.slow
def test_f12_follower_who_is_beyond_the_end_waits_while_the_job_runs_and_is_let_go_at_its_end(
    here: Trainings, there: Trainings, child: Callable[[str], None]
) -> None:
    """F12: `Last-Event-ID: 99` of a training with two events."""
    child("signal.pause()")
    job = here.start()
    until(lambda: here.get(job).progress, "the first epoch")

    async def follow() -> list[tuple[int, str]]:
        task = asyncio.create_task(collect())
        assert await asyncio.wait((task,), timeout=3 * LOOK_INTERVAL_S) == (set(), {task})
        await there.runner.cancel(job.id)
        return await asyncio.wait_for(task, 120)

    async def collect() -> list[tuple[int, str]]:
        return [event async for event in there.runner.events(job.id, 99)]

    assert there.call(follow) == []
    assert [json.loads(line)["event"] for _, line in here.lines(job)] == ["epoch", "result"]


def test_second_training_of_the_model_names_the_first(here: Trainings, child: Callable[[str], None]) -> None:
    child("signal.pause()")
    job = here.start()

    with pytest.raises(JobConflict, match=job.id):
        here.start()


@pytest.mark.slow
def test_job_is_told_apart_from_its_repetition(here: Trainings, child: Callable[[str], None]) -> None:
    child("end('failed', option('--overrides'))")
    request = TrainingRequest(model="iris", overrides=Overrides(epochs=3), activate="never", timeout_s=60)
    first = here.ended(here.call(here.runner.start, request))

    again = here.ended(here.call(here.runner.retry, first.id))

    assert (again.retry_of, again.request, again.detail) == (first.id, request, '{"epochs": 3}')
    assert again.id != first.id
