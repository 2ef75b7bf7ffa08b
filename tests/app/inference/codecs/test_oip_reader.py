"""Requests are read for the pipeline with their deadline, in steps or as a whole."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.app.oip import infer, tensor
from tests.app.tables import rows


@pytest.mark.parametrize("timeout", [0, 10_000_000])
def test_timeout_that_is_long_enough_changes_nothing(steady: TestClient, timeout: int) -> None:
    assert infer(steady, parameters={"timeout": timeout, "priority": 1}).content == infer(steady).content


@pytest.mark.parametrize("count", [2, 5000])
def test_timeout_that_passes_before_the_rows_are_computed_is_504(steady: TestClient, count: int) -> None:
    answer = infer(steady, [tensor(rows(count))], parameters={"timeout": 1})

    assert answer.status_code == 504
    assert "timeout" in answer.json()["error"]
