"""Responses in several parts: complete ones say their length, others are sent as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.api.responses import BlocksResponse, FileResponse, PartsResponse


async def receive() -> Message:
    raise AssertionError("the request is the route's to read")


def sent(response: Response) -> list[Message]:
    """Return what a response sends to a client that reads at once."""
    messages = []

    async def send(message: Message) -> None:
        messages.append(message)
        await asyncio.sleep(0)

    asyncio.run(response({"type": "http"}, receive, send))
    return messages


def headers_of(message: Message) -> dict[bytes, bytes]:
    return dict(message["headers"])


@pytest.mark.parametrize(("size", "messages"), [(10, 1), (200 << 10, 2)], ids=["small", "large"])
def test_complete_body_says_its_length_and_only_small_parts_are_joined(size: int, messages: int) -> None:
    first, *rest = sent(PartsResponse([b"a" * size, b"b" * size], "text/csv", {"x-blank-lines": "2"}))

    assert headers_of(first)[b"content-length"] == str(2 * size).encode()
    assert (headers_of(first)[b"x-blank-lines"], first["status"]) == (b"2", 200)
    assert b"".join(message["body"] for message in rest) == b"a" * size + b"b" * size
    assert [message.get("more_body", False) for message in rest] == [True] * (messages - 1) + [False]


async def blocks(count: int, made: list[int], error: Exception | None = None) -> AsyncIterator[bytes]:
    for number in range(count):
        made.append(number)
        yield b"%d;" % number
        await asyncio.sleep(0)
    if error is not None:
        raise error


def test_body_of_unknown_length_has_all_blocks_in_their_order_and_an_end() -> None:
    first, *rest = sent(BlocksResponse("text/csv", blocks(20, []), 1000))

    assert b"content-length" not in headers_of(first)
    assert b"".join(message["body"] for message in rest) == b"".join(b"%d;" % number for number in range(20))
    assert [message.get("more_body", False) for message in rest][-2:] == [True, False]


def test_blocks_are_made_while_the_client_does_not_read_until_so_many_bytes_wait() -> None:
    made: list[int] = []
    free = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await free.wait()

    async def main() -> None:
        response = BlocksResponse("text/csv", blocks(10, made), 6)
        answering = asyncio.create_task(response({"type": "http"}, receive, send))
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(made) == 5  # one is being sent, three wait, and one has no room
        free.set()
        await answering

    asyncio.run(main())

    assert len(made) == 10


def test_body_that_breaks_off_has_no_end() -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    response = BlocksResponse("text/csv", blocks(2, [], ValueError("late")), 1000)
    with pytest.raises(ValueError, match="late"):
        asyncio.run(response({"type": "http"}, receive, send))

    assert all(message["more_body"] for message in messages[1:])


def test_client_that_goes_away_stops_what_is_made_for_it() -> None:
    made: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise ClientDisconnect

    asyncio.run(BlocksResponse("text/csv", blocks(1000, made), 100)({"type": "http"}, receive, send))

    assert len(made) < 100


def test_file_is_sent_in_pieces_with_its_length_and_closed(tmp_path: Path) -> None:
    data = bytes(range(256)) * 4096
    (tmp_path / "file").write_bytes(data)
    stream = (tmp_path / "file").open("rb")

    first, *rest = sent(FileResponse(stream, len(data), {"etag": '"x"'}))

    assert (headers_of(first)[b"content-length"], headers_of(first)[b"etag"]) == (b"1048576", b'"x"')
    assert b"".join(message["body"] for message in rest) == data
    assert [message.get("more_body", False) for message in rest] == [True] * 4 + [False]
    assert stream.closed


def test_file_is_closed_if_the_client_goes_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    stream = (tmp_path / "file").open("rb")

    async def send(message: Message) -> None:
        raise ClientDisconnect

    with pytest.raises(ClientDisconnect):
        asyncio.run(FileResponse(stream, 7, {})({"type": "http"}, receive, send))

    assert stream.closed
