"""Answers that never end."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tabserve.conformance import answers
from tabserve.conformance.answers import read_answer
from tabserve.conformance.rules import RuleBroken


class Endless(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield bytes(1 << 16)


def endless() -> httpx.Client:
    return httpx.Client(
        base_url="http://fake", transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Endless()))
    )


def test_answer_without_an_end_is_given_up() -> None:
    with endless() as client, pytest.raises(RuleBroken, match="larger than 16 MiB"):
        read_answer(client, "GET", "/")


def test_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "TIMEOUT_S", -1.0)
    with endless() as client, pytest.raises(RuleBroken, match="not complete"):
        read_answer(client, "GET", "/")
