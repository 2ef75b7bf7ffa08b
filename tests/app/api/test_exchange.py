"""When a request whose body arrives must find room among those that are being answered (X7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

import pytest
from starlette.types import Message

from app.api.exchange import CountedBody, Exchange
from app.context import MemoryBudget, MemoryReservation, RequestContext
from app.errors import DeadlinePassed, TooManyInFlight
from app.telemetry.in_flight import Flight
from app.telemetry.metrics import ServingMetrics

RESERVATIONS = [None, MemoryReservation(MemoryBudget(1 << 20))]
WAYS = ["streamed", "whole"]


class Scene:
    """A request that was admitted, beside another; only one may be answered at a time."""

    def __init__(self, pieces: Sequence[Message], memory: MemoryReservation | None) -> None:
        self.sent: list[Message] = []
        metrics = ServingMetrics()
        flight = Flight(metrics, 1)
        flight.begin()
        metrics.in_progress += 1
        coming = iter(pieces)

        async def receive() -> Message:
            return next(coming)

        async def send(message: Message) -> None:
            self.sent.append(message)

        self.exchange = Exchange(RequestContext("id"), "/predict/iris", send, [], flight)
        self.body: CountedBody = self.exchange.read(receive, {}, 1 << 20, memory)

    def read(self) -> Message:
        return asyncio.run(self._read())

    async def _read(self) -> Message:
        return await self.body()

    def begin_to_answer(self) -> None:
        asyncio.run(self.exchange.send({"type": "http.response.start", "status": 200}))


def piece(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


LEFT: Message = {"type": "http.disconnect"}


@pytest.mark.parametrize("memory", RESERVATIONS, ids=WAYS)
@pytest.mark.parametrize("last", [b"", b"2"])
def test_x7_body_that_is_complete_needs_room(last: bytes, memory: MemoryReservation | None) -> None:
    scene = Scene([piece(b"1", more=True), piece(last, more=False)], memory)

    assert scene.read()["more_body"]
    with pytest.raises(TooManyInFlight):
        scene.read()


@pytest.mark.parametrize("memory", RESERVATIONS, ids=WAYS)
def test_x7_empty_body_needs_no_room_so_an_admitted_stream_learns_only_of_its_client(
    memory: MemoryReservation | None,
) -> None:
    scene = Scene([piece(b"", more=False), LEFT], memory)

    assert [scene.read()["type"], scene.read()["type"]] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("memory", RESERVATIONS, ids=WAYS)
def test_client_that_leaves_within_its_body_is_not_refused(memory: MemoryReservation | None) -> None:
    scene = Scene([piece(b"1", more=True), LEFT], memory)

    assert [scene.read()["type"], scene.read()["type"]] == ["http.request", "http.disconnect"]


def test_body_that_is_answered_while_it_arrives_is_not_refused_at_its_end() -> None:
    scene = Scene([piece(b"1", more=True), piece(b"2", more=False)], None)
    scene.read()
    scene.begin_to_answer()

    assert scene.read()["body"] == b"2"


def test_deadline_that_passes_before_the_head_could_be_sent_is_answered() -> None:
    sent: list[Message] = []
    room = asyncio.Event()

    async def send(message: Message) -> None:
        await room.wait()
        sent.append(message)

    async def scene() -> None:
        exchange = Exchange(RequestContext("id"), "/predict/iris", send, [], Flight(ServingMetrics(), 1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await exchange.answer(HTTPStatus.OK, b"{}", [])
        room.set()
        await exchange.fail(DeadlinePassed())
        assert (exchange.status, exchange.sent_bytes) == (504, len(sent[1]["body"]))

    asyncio.run(scene())

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
