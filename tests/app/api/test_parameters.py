"""Versions in paths are written as the service writes them."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.app.problems import assert_problem


@pytest.mark.parametrize("written", ["01", "1.0", "%2B1", "%201"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/models/means/versions/"), ("POST", "/predict/means/versions/")])
def test_version_that_is_written_in_another_way_is_none(
    steady: TestClient, method: str, path: str, written: str
) -> None:
    assert_problem(steady.request(method, path + written, json={"instances": [[0.25, 0.75]]}), 422)
