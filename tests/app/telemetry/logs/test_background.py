"""Log records are written in the background, and lines that are lost are counted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.telemetry.logs.background import BackgroundHandler
from app.telemetry.logs.form import JsonFormatter
from tests.app.telemetry.logs.records import record


@contextmanager
def piped(max_waiting: int) -> Iterator[tuple[BackgroundHandler, int]]:
    """Yield a handler that writes to a pipe, and the other end of it."""
    reader, writer = os.pipe()
    handler = BackgroundHandler(writer, max_waiting)
    handler.setFormatter(JsonFormatter())
    try:
        yield handler, reader
    finally:
        os.close(reader)
        os.close(writer)


def read_lines(reader: int, until: str) -> list[dict[str, Any]]:
    """Read until a line has this field."""
    received = b""
    while until.encode() not in received or not received.endswith(b"\n"):
        received += os.read(reader, 1 << 16)
    return [json.loads(line) for line in received.splitlines()]


@pytest.mark.slow
def test_reader_that_is_stuck_holds_nobody_up_and_what_was_lost_is_counted() -> None:
    with piped(max_waiting=100) as (handler, reader):
        handler.start()
        began = time.perf_counter()
        for number in range(5000):  # a pipe holds 64 KiB, about 600 of these
            handler.handle(record("x" * 20, number=number))
        assert time.perf_counter() - began < 120  # it would be for ever

        written: list[int] = []
        lost = 0
        while len(written) + lost < 5000:
            found = read_lines(reader, "}")
            written += [line["number"] for line in found if "number" in line]
            lost += sum(line.get("lost", 0) for line in found)

    assert len(written) > 100
    assert written == sorted(written)
    assert len(written) + lost == 5000


def test_reader_that_is_gone_hurts_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    handler = BackgroundHandler(writer)
    handler.setFormatter(JsonFormatter())
    handler.handle(record())
    handler.start()
    for _ in range(10):
        handler.handle(record())
    handler.flush()
    os.close(writer)


def test_record_that_cannot_be_made_hurts_nobody() -> None:
    with piped(max_waiting=10) as (handler, reader):
        handler.start()
        handler.handle(record("%d rows", args=("no number",)))
        handler.handle(record("next"))
        found = read_lines(reader, '"lost"')

    assert [line["message"] for line in found if "lost" not in line] == ["next"]
