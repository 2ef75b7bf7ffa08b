"""What FastAPI and Starlette refuse themselves is answered in the form of all errors."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.app.problems import assert_problem


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/models", "GET"),
        ("GET", "/predict/means", "POST"),
        ("PUT", "/predict", "POST"),
        ("GET", "/models/means/versions/1/activate", "POST"),
        ("POST", "/readyz", "GET, HEAD"),
    ],
)
def test_wrong_method_lists_the_right_ones(steady: TestClient, method: str, path: str, allowed: str) -> None:
    answer = steady.request(method, path)

    assert_problem(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("feature", ["version", "limit"])
def test_wrong_part_of_the_address_is_named(steady: TestClient, feature: str) -> None:
    answer = steady.get({"version": "/models/means/versions/one", "limit": "/train?limit=0"}[feature])

    assert assert_problem(answer, 422)["errors"][0]["feature"] == feature
