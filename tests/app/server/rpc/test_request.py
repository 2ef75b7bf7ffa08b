"""Requests to an app in this process."""

from __future__ import annotations

import asyncio
from typing import Any

from app.server.rpc.request import NO_RESPONSE, AppRequest, ask


def test_app_gets_the_request_and_its_response_is_whole() -> None:
    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        message = await receive()
        assert (scope["method"], scope["path"], scope["client"]) == ("POST", "/x", ("10.0.0.1", 0))
        await send({"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": message["body"], "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})

    response = asyncio.run(ask(app, AppRequest("POST", "/x", [], "10.0.0.1", lambda: False, b"hello")))

    assert (response.status, response.headers, response.body) == (201, {b"a": b"b"}, b"hello!")


def test_cancelling_ends_an_app_that_waits_for_the_client_to_disconnect() -> None:
    ended = []

    async def app(_scope: dict[str, Any], receive: Any, _send: Any) -> None:
        await receive()
        try:
            await receive()
        finally:
            ended.append(True)

    async def scene() -> None:
        task = asyncio.create_task(ask(app, AppRequest("GET", "/", [], "", lambda: False)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())

    assert ended == [True]


def test_app_that_answers_nothing_has_no_response() -> None:
    async def app(_scope: dict[str, Any], _receive: Any, _send: Any) -> None:
        pass

    assert asyncio.run(ask(app, AppRequest("GET", "/", [], "", lambda: True))).status == NO_RESPONSE
