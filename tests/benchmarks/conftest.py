from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from benchmarks import cores, systems
from benchmarks.bench import Bench
from benchmarks.clients import Address
from benchmarks.plan import Plan
from benchmarks.progress import Progress
from benchmarks.store import MODEL, VERSIONS, Store
from modelstore import ModelRepository
from tests import fakes
from tests.onnx_models import mean_onnx
from tests.preloaded import forked_trainings

A_SECOND = Plan(
    name="test",
    rounds=2,
    seconds=0.25,
    warm_up_s=0.1,
    starts=1,
    swaps=4,
    batch_sizes=(1, 7),
    repeats=3,
    curve=(1, 100),
    large_rows=5000,
)


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two versions of a model that one can work out in the head, under the name that the benchmark asks for."""
    folder = tmp_path_factory.mktemp("store")
    repository = ModelRepository(folder)
    for version in VERSIONS:
        shift = 0.1 * version
        onnx = mean_onnx(shift, cells=4, classes=3)
        fakes.publish(repository, MODEL, shift=shift, features=tuple("abcd"), classes=("x", "y", "z"), onnx=onnx)
    repository.activate(MODEL, VERSIONS[0])
    return Store(folder)


@pytest.fixture(scope="package")
def bench(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    division = cores.divide(cores.available())
    with Progress() as progress, pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(systems, "PROJECT", forked_trainings())  # the folder of services that train nothing
        bench = Bench(A_SECOND, store, division, tmp_path_factory.mktemp("work"), progress)
        yield bench
        bench.close()


SLOW_S = 0.1


class Echo(asyncio.Protocol):
    """Answers requests without a body: /slow late, /bad with 500, /cut not at all, others at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        path = data.split(b" ", 2)[1]
        if path == b"/cut":
            self.transport.close()
        elif path == b"/slow":
            asyncio.get_running_loop().call_later(SLOW_S, self.answer, b"200 OK")
        else:
            self.answer(b"500 No" if path == b"/bad" else b"200 OK")

    def answer(self, status: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" % status)


@contextlib.contextmanager
def listening(protocol: type[asyncio.Protocol]) -> Iterator[Address]:
    """Run a server of this protocol in a thread."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(protocol, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    host, port = server.sockets[0].getsockname()
    yield host, port
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    loop.run_until_complete(server.wait_closed())
    loop.close()


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with listening(Echo) as found:
        yield found
