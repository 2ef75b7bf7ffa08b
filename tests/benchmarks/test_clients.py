from __future__ import annotations

import pytest

from benchmarks.clients import Address, ask
from benchmarks.requests import Request

pytestmark = pytest.mark.slow

FAST = Request("/fast", b"", 1, method="GET")
BAD = Request("/bad", b"", 1, method="GET")


def test_one_question_has_one_answer(address: Address) -> None:
    assert ask(address, FAST).body == b"hi"
