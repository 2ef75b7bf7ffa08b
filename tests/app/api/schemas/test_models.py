"""Queries of the model routes, and the example that each model shows."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.app.problems import assert_problem


@pytest.mark.parametrize("model", ["means", "thirds"])
def test_example_works_as_it_stands(steady: TestClient, model: str) -> None:
    example = steady.get(f"/models/{model}").json()["example"]

    answer = steady.request(
        example["method"], example["path"], json=example["body"], headers={"content-type": example["content_type"]}
    )

    assert answer.status_code == 200
    assert "warnings" not in answer.json()


@pytest.mark.parametrize("query", ["", "versions=1", "versions=1,2,3", "versions=a,b", "versions=0,1", "versions=1,-2"])
def test_comparison_wants_two_versions(steady: TestClient, query: str) -> None:
    assert_problem(steady.get(f"/models/means/compare?{query}"), 422)
