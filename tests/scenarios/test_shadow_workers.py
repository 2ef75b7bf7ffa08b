"""Two workers on a shared store count the rows of a shadow together and promote it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelstore import ModelRepository
from tests.app.api.routes.test_shadow import DIFFERENT, LIVE, SAME, kept_answers
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import service

REQUESTS, ROWS = 40, 5  # each request on a connection of its own, so that both workers answer some


def answered(url: httpx.URL) -> list[str]:
    """Predict rows of which half are answered differently by the shadow; return the receipts of these."""
    found: list[str] = []
    for _ in range(REQUESTS):
        body = {"instances": [DIFFERENT, SAME] * ROWS}
        answer = httpx.post(
            f"{url}/predict/means", json=body, headers={"x-prediction-receipt": "1"}, timeout=300
        ).json()
        assert {one["label"] for one in answer["predictions"][::2]} == {"low"}
        found += [one["receipt"] for one in answer["predictions"][::2]]
    return found


def labelled(url: httpx.URL, receipts: list[str]) -> None:
    items = [{"receipt": one, "label": "high"} for one in receipts]
    assert httpx.post(f"{url}/feedback", json={"feedback": items}, timeout=300).json()["taken"] == len(items)


@pytest.mark.slow
def test_two_workers_compare_a_shadow_together_and_promote_it_once(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path / "models")
    publish(repository)
    publish(repository, shift=0.4, activate=False, gate=LIVE)
    repository.start_shadow("means", 2)
    with service(tmp_path, "--workers", "2") as (client, _):
        url = client.base_url

        def compared() -> dict[str, Any]:
            """Return the comparison, asked on a new connection, so of either worker."""
            found: dict[str, Any] = httpx.get(f"{url}/models/means/versions/1/live", timeout=300).json()["shadow"]
            return found

        def active() -> int:
            """Return the version that a worker says is active."""
            found: int = httpx.get(f"{url}/models/means", timeout=300).json()["active_version"]
            return found

        receipts = answered(url)
        rows = 2 * ROWS * REQUESTS
        agreement = until(lambda: found if (found := compared()["agreement"])["rows"] == rows else None, "all rows")
        assert agreement["share"] == 0.5
        until(lambda: kept_answers(repository) == rows, "the answers of the shadow are kept")
        labelled(url, receipts[:3])
        until(lambda: compared()["test"]["shadow_better"] == 3, "either worker shows them")
        assert compared()["test"]["verdict"] == "undecided"
        for receipt in receipts[3:20]:
            labelled(url, [receipt])
        assert repository.active("means") == 2
        until(lambda: all(active() == 2 for _ in range(8)), "both workers serve it")
        assert repository.shadow("means") is None
    lines = (tmp_path / "state" / "audit.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["action"] == "model.promoted" for line in lines) == 1
