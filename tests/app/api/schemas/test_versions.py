"""Queries of the routes of versions."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.app.problems import assert_problem


@pytest.mark.parametrize("query", ["", "versions=1", "versions=1,2,3", "versions=a,b", "versions=0,1", "versions=1,-2"])
def test_comparison_wants_two_versions(steady: TestClient, query: str) -> None:
    assert_problem(steady.get(f"/models/means/compare?{query}"), 422)
