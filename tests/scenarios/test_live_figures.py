"""10,000 receipts and 3,000 labels over two workers: exact figures, no row's value kept."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

from modelstore import ModelRepository
from tests.app.telemetry.figures import parsed
from tests.app.waiting import until
from tests.fakes import publish
from tests.processes import PLAIN, service

ROWS, LABELLED, WORKERS = 5000, 1500, 2  # of each version
PLANTED = 0.123456789
OTHER = {"low": "high", "high": "low"}
X = np.random.default_rng(0).random((ROWS, 2))
X[0] = PLANTED
WRONG = np.random.default_rng(1).random(ROWS) < 0.3


class Answered(NamedTuple):
    """A row's receipt and answer, and what turned out."""

    receipt: str
    probability: float
    truth: str


def predicted(url: httpx.URL, version: int) -> list[Answered]:
    """Predict all rows in several requests, each on a connection of its own, so that both workers answer some."""
    found: list[dict[str, Any]] = []
    for start in range(0, ROWS, 250):
        body = {"instances": X[start : start + 250].tolist()}
        path = f"{url}/predict/means/versions/{version}"
        answer = httpx.post(path, json=body, headers={"x-prediction-receipt": "1"}, timeout=300, verify=PLAIN)
        found += answer.json()["predictions"]
    return [
        Answered(one["receipt"], one["probability"], OTHER[one["label"]] if wrong else one["label"])
        for one, wrong in zip(found, WRONG.tolist(), strict=True)
    ]


def labels(rows: list[Answered]) -> Iterator[list[dict[str, str]]]:
    """Yield requests with the labels of rows, then the same again with the other label."""
    for truth in ("right", "wrong"):
        for start in range(0, len(rows), 250):
            part = rows[start : start + 250]
            yield [
                {"receipt": row.receipt, "label": row.truth if truth == "right" else OTHER[row.truth]} for row in part
            ]


def sent(url: httpx.URL, items: list[dict[str, str]]) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.post(f"{url}/feedback", json={"feedback": items}, timeout=300, verify=PLAIN).json()
    return answer


def all_given(client: httpx.Client, path: str) -> dict[str, Any] | None:
    """Return the live figures once those of the other worker are in; a worker writes its own every quarter second."""
    shown: dict[str, Any] = client.get(path).json()
    return shown if shown["receipts"]["given"] == ROWS else None


def said_right(client: httpx.Client) -> float:
    """Return how many labels were right, as counted for all workers."""
    page = parsed(client.get("/metrics").text)
    return sum(value for (name, _), value in page.items() if name == "tabserve_feedback_right_total")


@pytest.mark.slow
def test_figures_of_ten_thousand_receipts_are_exact_over_two_workers(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path / "models")
    publish(repository)
    publish(repository, shift=0.25, activate=False)
    with service(tmp_path, "--workers", str(WORKERS), "--access-log") as (client, _):
        url = client.base_url
        answered = {version: predicted(url, version) for version in (1, 2)}
        for rows in answered.values():
            answers = [sent(url, items) for items in labels(rows[:LABELLED])]
            assert [sum(one[name] for one in answers) for name in ("taken", "repeated", "refused")] == [1500, 1500, 0]
            ends = [row.receipt[-4:] for row in rows[500:]]
            forged = [row.receipt[:-4] + end for row, end in zip(rows[:500], ends, strict=False)]
            assert sent(url, [{"receipt": one, "label": "low"} for one in forged])["refused"] == 500
        for version, rows in answered.items():
            look = partial(all_given, client, f"/models/means/versions/{version}/live")
            shown = until(look, "all receipts are counted")
            assert (shown["labels"], shown["receipts"]["labelled"]) == (LABELLED, LABELLED)
            assert shown["figures"]["accuracy"] == 1 - WRONG[:LABELLED].mean()
            mean = np.mean([row.probability for row in rows[:LABELLED]])
            assert shown["figures"]["mean_confidence"] == pytest.approx(mean, rel=1e-6)
        right = 2 * (LABELLED - WRONG[:LABELLED].sum())
        until(lambda: said_right(client) == right, "the figures of both workers are in")
        page = client.get("/metrics").text
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and "models" not in file.parts)
    for planted in (str(PLANTED), "0.12345679"):
        assert planted.encode() not in kept
        assert planted not in page
    assert b"/feedback" in kept  # the log has the requests
