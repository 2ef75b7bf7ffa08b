"""Server-sent events: form, heartbeat, end of a stream, and a training through the real app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from app.api.routes import events
from app.api.routes.events import EventStreams
from app.errors import StoreUnavailable, TooManyStreams
from app.main import create_app
from tests.app.problems import assert_problem
from tests.app.waiting import until
from tests.settings import settings_in

EPOCH = '{"event":"epoch","epoch":1}'
RESULT = '{"event":"result","detail":"\\u2028 and \\n"}'


async def said(*found: tuple[int, str]) -> AsyncIterator[tuple[int, str]]:
    for event in found:
        yield event


class Client:
    """Reads a stream; `leave` makes it go away."""

    def __init__(self) -> None:
        self.body = b""
        self.headers: dict[str, str] = {}
        self.complete = False
        self.leave = asyncio.Event()
        self.came = asyncio.Event()

    async def receive(self) -> Message:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        self.body += message.get("body", b"")
        self.complete = message["type"] == "http.response.body" and not message.get("more_body")
        self.came.set()

    def read(self, response: Callable[..., Coroutine[object, object, None]]) -> asyncio.Task[None]:
        """Begin to read."""
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "method": "GET"}
        return asyncio.create_task(response(scope, self.receive, self.send))


def test_event_has_number_kind_and_one_line_of_data() -> None:
    async def scene() -> Client:
        client = Client()
        streams = EventStreams(asyncio.Event())
        await client.read(streams.respond((1, EPOCH), said((2, RESULT))))
        return client

    client = asyncio.run(scene())

    assert client.headers["content-type"].startswith("text/event-stream")
    assert client.headers["cache-control"] == "no-cache"
    assert client.complete
    retry, first, second, end = client.body.decode().split("\n\n")
    assert (retry, end) == ("retry: 1000", "")
    assert sorted(first.split("\n")) == [f"data: {EPOCH}", "event: epoch", "id: 1"]
    fields = dict(line.split(": ", 1) for line in second.split("\n"))
    assert (fields["event"], fields["id"], json.loads(fields["data"])) == ("result", "2", json.loads(RESULT))


class Silent:
    """Events that never come; `closed` once nobody waits any more."""

    def __init__(self) -> None:
        self.closed = False

    async def events(self) -> AsyncIterator[tuple[int, str]]:
        try:
            await asyncio.Event().wait()
            yield 1, EPOCH
        finally:
            self.closed = True


def test_silence_is_filled_with_comments() -> None:
    async def scene() -> bytes:
        client, stopping = Client(), asyncio.Event()
        reading = client.read(EventStreams(stopping, heartbeat_s=0.01).respond(None, Silent().events()))
        while client.body.count(b": ping\n\n") < 3:
            client.came.clear()
            await client.came.wait()
        stopping.set()
        await reading
        return client.body

    assert asyncio.run(scene()).startswith(b"retry: 1000\n\n: ping\n\n: ping\n\n")


@pytest.mark.parametrize("who", ["client", "service"])
def test_stream_ends_when_its_client_or_the_service_goes(who: str) -> None:
    async def scene() -> bool:
        client, stopping, silent = Client(), asyncio.Event(), Silent()
        reading = client.read(EventStreams(stopping).respond(None, silent.events()))
        await client.came.wait()
        (client.leave if who == "client" else stopping).set()
        await asyncio.wait_for(reading, 120)
        return silent.closed

    assert asyncio.run(scene())


def test_stream_is_broken_off_where_events_cannot_be_read() -> None:
    async def failing() -> AsyncIterator[tuple[int, str]]:
        yield 1, EPOCH
        raise StoreUnavailable("the job table cannot be read")

    async def scene() -> Client:
        client = Client()
        await client.read(EventStreams(asyncio.Event()).respond(None, failing()))
        return client

    client = asyncio.run(scene())

    assert b"id: 1\n" in client.body
    assert b"event: result" not in client.body


def test_streams_are_bounded_and_an_ended_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 2)

    async def scene() -> None:
        streams = EventStreams(asyncio.Event())
        clients = [Client(), Client()]
        reading = [client.read(streams.respond(None, Silent().events())) for client in clients]
        for client in clients:
            await client.came.wait()
        with pytest.raises(TooManyStreams):
            streams.respond(None, Silent().events())
        clients[0].leave.set()
        await reading[0]
        third = Client()
        await third.read(streams.respond((1, RESULT), said()))
        assert third.complete
        clients[1].leave.set()
        await reading[1]

    asyncio.run(scene())


SAYS = """
import json, pathlib, sys
def say(**event): print(json.dumps(event), flush=True)
for n in (1, 2, 3):
    say(event="epoch", epoch=n, epochs=3, train_loss=0.5, learning_rate=0.1, gradient_norm=1.0, elapsed_s=0.1,
        remaining_s=0.1)
say(event="notice", message="two\\nlines, and \\u2028 one that JavaScript takes for an end")
say(event="result", reason="diverged", detail="the loss is not finite", model="iris")
"""


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Return a client of an app whose trainings say three epochs, a notice and the end."""
    folder = tmp_path_factory.mktemp("events")
    package = folder / "cwd" / "training"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(SAYS)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder / "cwd")
        with TestClient(create_app(settings_in(folder))) as client:
            yield client


def start(client: TestClient) -> str:
    answer = client.post("/train", json={"model": "iris"})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


Event = tuple[int, str, dict[str, Any]]


def parsed(stream: str) -> list[Event]:
    """Read a stream as the HTML standard has it: events end with an empty line, fields with a line feed."""
    found = []
    for block in stream.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


@pytest.fixture(scope="module")
def followed(trainer: TestClient) -> tuple[TestClient, str, list[Event]]:
    """Return a client, where its training is, and what it saw while following that from the start."""
    location = start(trainer)
    answer = trainer.get(f"{location}/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return trainer, location, parsed(answer.text)


def test_stream_has_every_event_and_ends_with_the_result(followed: tuple[TestClient, str, list[Event]]) -> None:
    client, location, seen = followed

    assert [number for number, _, _ in seen] == [1, 2, 3, 4, 5]
    assert [kind for _, kind, _ in seen] == ["epoch", "epoch", "epoch", "notice", "result"]
    assert [data["epoch"] for _, kind, data in seen if kind == "epoch"] == [1, 2, 3]
    assert seen[3][2]["message"].startswith("two\nlines")
    assert seen[-1][2]["reason"] == client.get(location).json()["reason"] == "diverged"


@pytest.mark.parametrize(("last", "numbers"), [("0", [1, 2, 3, 4, 5]), ("3", [4, 5]), ("x", [1, 2, 3, 4, 5])])
def test_client_that_comes_again_gets_what_it_missed(
    followed: tuple[TestClient, str, list[Event]], last: str, numbers: list[int]
) -> None:
    client, location, _ = followed

    again = client.get(f"{location}/events", headers={"last-event-id": last})

    assert [number for number, _, _ in parsed(again.text)] == numbers


@pytest.mark.parametrize("last", ["5", "999999"])
def test_client_that_has_seen_the_end_is_told_to_stay_away(
    followed: tuple[TestClient, str, list[Event]], last: str
) -> None:
    client, location, _ = followed

    again = client.get(f"{location}/events", headers={"last-event-id": last})

    assert (again.status_code, again.content) == (204, b"")


def test_too_many_streams_are_sent_away(trainer: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 0)

    location = start(trainer)
    problem = assert_problem(trainer.get(f"{location}/events"), 503)
    until(lambda: trainer.get(location).json()["reason"], "it ends, and the next test may train")

    assert problem["type"] == "urn:tabserve:problem:too-many-streams"
