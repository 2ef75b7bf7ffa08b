"""Clients of the whole app without sockets; the app is real, and so is every answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from modelstore import ModelRepository
from tabserve import Client
from tests.app.typed import publish_typed
from tests.fakes import publish


class ToApp(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Carry requests of httpx to an app, as a proxy does that serves it under the path `/ml`."""

    def __init__(self, app: TestClient) -> None:
        self._app = app
        self.sent: list[httpx.Request] = []
        self.damage: Callable[[str, bytes], bytes] = lambda path, content: (
            content
        )  # what happens to answers on their way

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        return self._pass(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return await asyncio.to_thread(self._pass, request)

    def _pass(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        target = request.url.raw_path.decode().removeprefix("/ml")
        found = self._app.request(request.method, target, headers=dict(request.headers), content=request.content)
        content = self.damage(target, found.content)
        return httpx.Response(found.status_code, headers=dict(found.headers), content=content, request=request)


@pytest.fixture
def carried(settings: Settings, repository: ModelRepository) -> Iterator[ToApp]:
    """Return what carries requests to an app that keeps ids: `means`, the first of two versions active, and `typed`."""
    publish_typed(repository)
    publish(repository)
    publish(repository, shift=0.25, activate=False)
    own = settings.model_copy(update={"feedback_id_days": 1})
    with TestClient(create_app(own), raise_server_exceptions=False) as app:
        yield ToApp(app)


@pytest.fixture
def ours(carried: ToApp) -> Iterator[Client]:
    with Client("http://testserver/ml", transport=carried) as ours:
        yield ours
