"""The job runner: how trainings are claimed, followed, ended and told about, with real processes and real tables."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.jobs import database as databases
from app.jobs import runner as runners
from app.jobs.errors import JobConflict
from app.jobs.records import JobStatus, TrainingJob, TrainingRequest
from app.jobs.runner import LOOK_INTERVAL_S
from app.settings import Settings
from modelstore import Overrides
from tests.app.runners import Trainings, trainings
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
        return await asyncio.wait_for(task, 20)

    async def collect() -> list[tuple[int, str]]:
        return [event async for event in there.runner.events(job.id, 99)]

    assert there.call(follow) == []
    assert [json.loads(line)["event"] for _, line in here.lines(job)] == ["epoch", "result"]


def test_second_training_of_the_model_names_the_first(here: Trainings, child: Callable[[str], None]) -> None:
    child("signal.pause()")
    job = here.start()

    with pytest.raises(JobConflict) as conflict:
        here.start()
    assert conflict.value.job_id == job.id


def test_job_is_told_apart_from_its_repetition(here: Trainings, child: Callable[[str], None]) -> None:
    child("end('failed', option('--overrides'))")
    request = TrainingRequest(model="iris", overrides=Overrides(epochs=3), activate="never", timeout_s=60)
    first = here.ended(here.call(here.runner.start, request))

    again = here.ended(here.call(here.runner.retry, first.id))

    assert (again.retry_of, again.request(), again.detail) == (first.id, request, '{"epochs": 3}')
    assert again.id != first.id


BROKEN: dict[str, Callable[[pytest.MonkeyPatch, Path], None]] = {
    "migrations gone": lambda patch, folder: patch.setattr(databases, "_MIGRATIONS", folder / "none"),
    "import fails": lambda patch, _: patch.setitem(sys.modules, "app.jobs.database", None),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_whatever_keeps_the_table_from_being_opened_is_logged_and_tried_again(
    settings: Settings,
    child: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    """Nobody ran trainings any more after the first fault that no database had reported."""
    monkeypatch.setattr(runners, "OPEN_INTERVAL_S", 0.05)
    child("end('failed', 'enough')")
    with trainings(settings) as here:
        with monkeypatch.context() as patch:
            broken(patch, tmp_path)
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="cannot be used now"):
                    here.start()
        job = until(lambda: _started(here), "the job table")

        assert here.ended(job).detail == "enough"
    assert [line.levelname for line in caplog.records if line.message.startswith("no training")] == ["ERROR"]


@pytest.mark.slow
def test_table_that_becomes_usable_later_is_worked_on(settings: Settings, child: Callable[[str], None]) -> None:
    child("end('failed', 'enough')")
    settings.state_dir.write_text("no folder")
    with trainings(settings) as here:
        with pytest.raises(StoreUnavailable):
            here.start()
        settings.state_dir.unlink()
        job = until(lambda: _started(here), "the job table")

        assert here.ended(job).detail == "enough"


def _started(here: Trainings) -> TrainingJob | None:
    with contextlib.suppress(StoreUnavailable):
        return here.start()
    return None
