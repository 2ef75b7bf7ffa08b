"""What tests of the registry ask the service."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient


def shown(client: TestClient, name: str = "means") -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"/models/{name}").json()
    return document


def predicted(client: TestClient, path: str = "/predict/means") -> Any:
    return client.post(path, json={"instances": [[0, 0]]})
