"""Messages that come late, or never, through the real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from app.server.rpc.calls import SERVICE
from modelstore import ModelRepository
from tests.app.server.rpc.conftest import served
from tests.fakes import publish
from tests.settings import settings_in


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a channel to a service that waits two seconds for a message, and receives one at a time."""
    folder: Path = tmp_path_factory.mktemp("hasty")
    publish(ModelRepository(folder / "models"))
    limits = {"receive_timeout_s": 2.0, "receive_rate": 1 << 30, "max_bytes_held": 1 << 16, "max_in_flight": 8}
    with served(settings_in(folder, **limits)) as (_, channel):
        yield channel


def ask(channel: Any, sent: Iterator[bytes]) -> grpc.StatusCode:
    error = channel.stream_unary(f"/{SERVICE}/ModelReady").future(sent, timeout=120).exception(120)
    return grpc.StatusCode.OK if error is None else error.code()


def test_call_whose_message_does_not_come_ends_and_others_are_answered_then(hasty: Any) -> None:
    end = threading.Event()

    def nothing() -> Iterator[bytes]:
        end.wait(120)
        yield from ()

    late = [hasty.stream_unary(f"/{SERVICE}/ModelReady").future(nothing(), timeout=120) for _ in range(8)]
    assert {each.exception(120).code() for each in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert "within 2 seconds" in late[0].details()
    end.set()
    assert ask(hasty, iter([b"\x0a\x05means"])) is grpc.StatusCode.OK


def test_call_without_a_message_is_refused(hasty: Any) -> None:
    assert ask(hasty, iter(())) is grpc.StatusCode.INVALID_ARGUMENT
