"""The whole app with a gRPC server beside it, in one process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from starlette.testclient import TestClient

from app.main import create_app
from app.server.rpc.server import GrpcServer
from app.settings import Settings
from modelstore import ModelRepository
from tests.fakes import publish
from tests.settings import settings_in


@contextlib.contextmanager
def served(settings: Settings) -> Iterator[tuple[TestClient, Any]]:
    """Run an app with a gRPC server; yields a client of HTTP and a channel, which knows its `port`."""
    with TestClient(create_app(settings)) as client:
        assert client.portal is not None
        server = GrpcServer(client.app, settings, 0, client.app.admission.recognise)  # type: ignore[arg-type,attr-defined]
        client.portal.call(server.start)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
                channel.port = server.port
                yield client, channel
        finally:
            client.portal.call(server.stop, 0)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Any]]:
    """Return a client and a channel of a service with versions 1 and 2 of `means`; 2 adds a half and is not active."""
    folder: Path = tmp_path_factory.mktemp("rpc")
    repository = ModelRepository(folder / "models")
    publish(repository)
    publish(repository, shift=0.5, activate=False)
    with served(settings_in(folder)) as pair:
        yield pair
