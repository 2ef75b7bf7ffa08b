"""The OpenAPI document, as the service shows it."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def document(steady: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = steady.get("/openapi.json").json()
    return found
