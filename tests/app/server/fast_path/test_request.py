"""A request of the fast path whose answer cannot be written ends, and is counted once."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import DeadlinePassed
from app.main import create_app
from app.security.admission import ANONYMOUS, KnownCaller
from app.server.fast_path.request import Accounting, DirectExchange, PlainHead
from app.settings import Settings


class Cut(asyncio.Transport):
    """A transport whose end was written already."""

    aborted = False

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self.aborted = True


class HalfClosed:
    """A connection that cannot be written to."""

    peer = "127.0.0.1"

    def __init__(self) -> None:
        self.cut = Cut()
        self.transport: asyncio.Transport = self.cut
        self.told = 0

    def write_answer(self, status: int, headers: bytes, body: bytes, request_id: str, *, keep_alive: bool) -> None:
        raise RuntimeError("Cannot call write() after write_eof()")

    def linger(self) -> None:
        self.told += 1

    def on_response_complete(self) -> None:
        self.told += 1


@pytest.mark.parametrize("result", [b"{}", DeadlinePassed(), ValueError("unknown")], ids=["good", "late", "failed"])
def test_answer_that_cannot_be_written_gives_its_place_back_once(settings: Settings, result: bytes | Exception) -> None:
    """X-01."""
    connection, edge = HalfClosed(), create_app(settings)
    metrics = edge.metrics
    accounting = Accounting(
        metrics, edge.predictions, edge.request_ids, None, edge.memory, edge.admission.max_in_flight
    )
    head = PlainHead(b"/predict/iris", [], "iris", KnownCaller(ANONYMOUS, 0))
    exchange = DirectExchange(connection, accounting, head, None, keep_alive=True)
    metrics.in_progress += 1

    with pytest.raises(RuntimeError, match="write_eof"):
        exchange.finish(result)

    assert metrics.in_progress == 0
    assert connection.cut.aborted
    assert connection.told == 0
    exchange.finish(result)
    exchange.message_event.set()
    assert metrics.in_progress == 0
