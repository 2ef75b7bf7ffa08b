"""Running services that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.app.server.live import Live, store_in
from tests.app.sockets import Connection, connected
from tests.processes import service


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    store_in(folder)
    with service(folder) as (client, process):
        yield Live(client, process, folder / "service.log")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Run a service that waits for company, so that requests can be caught waiting, and takes small bodies only."""
    folder = tmp_path_factory.mktemp("patient")
    store_in(folder)
    environment = {"TABSERVE_MAX_BATCH_WAIT_S": "1", "TABSERVE_MAX_BODY_BYTES": "1024"}
    with service(folder, environment=environment) as (client, process):
        yield Live(client, process, folder / "service.log")


@pytest.fixture
def connection(live: Live) -> Iterator[Connection]:
    with connected(live.url) as connection:
        yield connection
