"""Long work beside the event loop: one piece at a time, dropped without a waiter, no rest."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import ParamSpec

import pytest

from app.context import CONTEXT, Deadline, RequestContext
from app.errors import ClientGone, DeadlinePassed, InvalidInput
from app.inference.offload import SMALL_BYTES, TURNS, OffloadThread

LARGE = SMALL_BYTES + 1
P = ParamSpec("P")


def in_a_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Held:
    """Something large that work reads."""


@in_a_loop
async def test_work_about_few_bytes_is_done_here_and_more_elsewhere() -> None:
    offload = OffloadThread()

    assert await offload.run(SMALL_BYTES, threading.current_thread) is threading.current_thread()
    assert await offload.run(LARGE, threading.current_thread) is not threading.current_thread()


@in_a_loop
async def test_loop_turns_while_work_goes_on_and_pieces_wait_for_each_other() -> None:
    offload, running, most = OffloadThread(), 0, 0

    def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        assert loop_turned.wait(120)
        running -= 1

    loop_turned = threading.Event()
    tasks = [asyncio.create_task(offload.run(LARGE, work)) for _ in range(5)]
    await asyncio.sleep(0)
    loop_turned.set()
    await asyncio.gather(*tasks)

    assert most == 1


@pytest.mark.parametrize(
    ("deadline", "error"),
    [(Deadline(at_ns=0), DeadlinePassed), (Deadline(gone=lambda: True), ClientGone)],
    ids=["deadline", "client"],
)
@in_a_loop
async def test_work_that_nobody_waits_for_is_not_begun(deadline: Deadline, error: type[Exception]) -> None:
    begun: list[int] = []
    token = CONTEXT.set(RequestContext(deadline=deadline))
    try:
        with pytest.raises(error):
            await OffloadThread().run(LARGE, begun.append, 1)
    finally:
        CONTEXT.reset(token)

    assert begun == []


@in_a_loop
async def test_refusal_holds_nothing_of_what_was_read() -> None:
    seen: list[weakref.ref[Held]] = []

    def work() -> None:
        document = Held()
        seen.append(weakref.ref(document))
        try:
            raise ValueError(document)
        except ValueError as error:
            raise InvalidInput("no") from error

    with pytest.raises(InvalidInput) as refused:
        await OffloadThread().run(LARGE, work)

    assert seen[0]() is None
    assert refused.value.__cause__ is None
    assert gc.isenabled()


@in_a_loop
async def test_other_errors_keep_their_traceback_for_the_log() -> None:
    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as failed:
        await OffloadThread().run(LARGE, work)

    assert failed.traceback[-1].name == "work"


@in_a_loop
async def test_collector_rests_while_work_goes_on() -> None:
    assert await OffloadThread().run(LARGE, gc.isenabled) is False
    assert gc.isenabled()


@in_a_loop
async def test_work_that_was_given_up_lets_go_of_what_it_was_about_while_it_still_stands_in_the_queue() -> None:
    offload, release, held = OffloadThread(), threading.Event(), Held()
    seen = weakref.ref(held)
    first = asyncio.create_task(offload.run(LARGE, release.wait, 120))
    second = asyncio.create_task(offload.run(LARGE, id, held))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait((second,))
    del second, held

    assert seen() is None
    release.set()
    assert await first


@in_a_loop
async def test_only_a_few_large_requests_hold_what_was_read_of_them_and_small_ones_do_not_wait() -> None:
    offload, holding, most, release = OffloadThread(), 0, 0, asyncio.Event()

    async def request() -> None:
        nonlocal holding, most
        async with offload.turn(LARGE):
            holding += 1
            most = max(most, holding)
            await release.wait()
            holding -= 1

    tasks = [asyncio.create_task(request()) for _ in range(10)]
    await asyncio.sleep(0)
    async with offload.turn(SMALL_BYTES):
        assert holding == TURNS
    release.set()
    await asyncio.gather(*tasks)

    assert most == TURNS


@in_a_loop
async def test_work_that_was_given_up_before_it_began_is_never_done() -> None:
    offload, release, done = OffloadThread(), threading.Event(), list[int]()
    first = asyncio.create_task(offload.run(LARGE, release.wait, 120))
    second = asyncio.create_task(offload.run(LARGE, done.append, 2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait((second,))
    release.set()

    assert await first
    assert await offload.run(LARGE, time.monotonic)
    assert done == []
