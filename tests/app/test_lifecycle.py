"""Why no more requests should come, and background work that fails alone."""

from __future__ import annotations

import asyncio

import pytest

from app.lifecycle import Lifetime, run_in_background


def test_process_is_ready_until_it_drains_stands_still_or_loses_its_device() -> None:
    lifetime = Lifetime()
    assert lifetime.unready is None

    lifetime.stands_still = True
    assert (lifetime.unready or "").startswith("standstill")
    lifetime.draining = True
    assert (lifetime.unready or "").startswith("draining")
    lifetime.lose_device()
    assert (lifetime.unready or "").startswith("the device is lost")


def test_standstill_may_pass() -> None:
    lifetime = Lifetime()
    lifetime.stands_still = True
    lifetime.stands_still = False

    assert lifetime.unready is None


def test_work_that_fails_is_logged_at_once_and_the_other_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise OSError("broken")

    async def scene() -> None:
        done = asyncio.Event()

        async def go_on() -> None:
            await asyncio.sleep(0)
            done.set()

        async with run_in_background({"first": fail(), "second": go_on()}):
            await asyncio.wait_for(done.wait(), 120)
            await asyncio.sleep(0)
            assert "the background task 'first' failed" in caplog.text

    asyncio.run(scene())


def test_work_ends_with_its_context_and_that_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> bool:
        began, ended = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                for _ in range(3):  # as a process that is being started takes some turns to end
                    await asyncio.sleep(0)
                ended.set()

        async with run_in_background({"waits": wait()}):
            await began.wait()
        return ended.is_set()

    assert asyncio.run(scene())
    assert "failed" not in caplog.text
