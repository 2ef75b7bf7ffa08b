"""Queries of the job table in threads: a request waits no longer than its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from app.context import CONTEXT, RequestContext, current_request_id
from app.errors import StoreUnavailable
from app.jobs import runner as runners
from app.jobs import threads
from app.settings import Settings
from app.telemetry.in_flight import Flight
from app.telemetry.metrics import ServingMetrics
from tests.app.runners import lock, trainings
from tests.app.waiting import until


def test_x6_request_waits_for_a_locked_table_no_longer_than_the_deadline_and_is_not_being_answered_meanwhile(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X6: opening a table for the first time takes up to ten seconds, and stood outside of both."""
    monkeypatch.setattr(threads, "ANSWER_DEADLINE_S", 0.5)
    metrics = ServingMetrics()

    async def ask(runner: runners.JobRunner) -> None:
        flight = Flight(metrics, 1)
        CONTEXT.set(RequestContext(flight=flight))
        flight.begin()
        task = asyncio.create_task(runner.list())
        await asyncio.sleep(0)  # it goes on as far as it can
        assert (metrics.waiting, metrics.in_progress) == (1, 0)
        await task

    settings.state_dir.mkdir(exist_ok=True)
    locked = contextlib.ExitStack()
    locked.enter_context(lock(settings))
    with locked, trainings(settings) as here:
        with pytest.raises(StoreUnavailable, match="does not answer now"):
            here.call(ask, here.runner)
        assert not [line for line in caplog.records if line.message.startswith("no training")]  # it is still opening
        locked.close()
        until(lambda: here.runner.count_unfinished() or None, "the table")


async def _opened() -> None:
    """Stand for a table that is open."""


def test_running_trainings_do_not_wait_for_requests() -> None:
    async def scene() -> str:
        table, free = threads.TableThreads(_opened), threading.Event()
        requests = [asyncio.create_task(table.ask(free.wait)) for _ in range(2 * threads.REQUEST_THREADS)]
        try:
            return await asyncio.wait_for(table.call(lambda: "a heartbeat"), 120)
        finally:
            free.set()
            await asyncio.gather(*requests)
            table.close()

    assert asyncio.run(scene()) == "a heartbeat"


def test_query_has_the_context_of_its_request_and_its_errors_are_told() -> None:
    async def scene() -> None:
        table = threads.TableThreads(_opened)
        CONTEXT.set(RequestContext("r1"))
        assert await table.ask(current_request_id) == "r1"
        with pytest.raises(ZeroDivisionError):
            await table.ask(divmod, 1, 0)
        table.close()

    asyncio.run(scene())
