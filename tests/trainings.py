"""Trainings through the service of a test: asked for, and awaited until they have ended."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.testclient import TestClient

from tests.app.waiting import until

DEADLINE_S = 300.0
FINAL = ("succeeded", "failed", "cancelled", "interrupted")


def ended(client: httpx.Client | TestClient, job: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Return a training, named by its id or its location, when it has ended."""
    location = job if job.startswith("/") else f"/train/{job}"

    def look() -> dict[str, Any] | None:
        shown: dict[str, Any] = client.get(location, headers=headers).json()
        return shown if shown.get("status") in FINAL else None

    return until(look, f"the end of training {job}", DEADLINE_S)


def trained(client: httpx.Client | TestClient, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for a training and return it when it has ended, as whoever waits for the answer sees it if it is quick."""
    answer = client.post("/train", json=body, headers={"prefer": "wait=60"})
    assert answer.status_code in (200, 202), answer.text
    shown: dict[str, Any] = answer.json()
    return shown if answer.status_code == 200 else ended(client, shown["id"])
