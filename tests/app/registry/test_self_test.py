"""Versions that proved themselves are tested again; one with other answers stops serving."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from app.main import create_app
from app.registry import watcher
from app.registry.errors import ModelNotReady
from app.registry.loader import Loader
from app.registry.registry import ModelRegistry
from app.runtime import load
from app.settings import Settings
from modelstore import ModelRepository
from tests.app.broken import publish_as_means
from tests.app.waiting import until
from tests.fakes import MeanModel, publish

REASONS = ("golden_mismatch", "not_deterministic")  # it may change its mind between two tests, or in the middle of one
GOOD_CALLS = 100  # more than loading, warming up and the first tests take


class Drifts(MeanModel):
    """Answers rightly at first: a state that no test before serving can see through."""

    def __init__(self) -> None:
        super().__init__(2, 0.0)
        self.calls = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1.0)
        late = (self.calls > 100.0).to(torch.float32)
        high = torch.clamp(x.mean(dim=1) * (1.0 - 0.25 * late), 0.0, 1.0)
        return torch.stack((1.0 - high, high), dim=1)  # (N, 2)


@pytest.fixture(autouse=True)
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a version keep a state: what drifts in earnest is a graphics card, memory or a library."""
    monkeypatch.setattr("app.runtime.verify.graph_scan.require_harmless", lambda graph: None)


@pytest.fixture
def drifting(settings: Settings, repository: ModelRepository) -> Iterator[TestClient]:
    """Return a client of a service whose version 2 of `means` is going to drift, and that tests all the time."""
    publish(repository)
    publish(repository, "thirds", features=("x", "y", "z"), classes=("none", "some", "all"))
    publish_as_means(repository, Drifts())
    with TestClient(create_app(settings.model_copy(update={"self_test_interval_s": 0.02}))) as client:
        yield client


def high(client: TestClient) -> tuple[int, float] | None:
    """Return version and answer for a row whose mean is 1; None while no version serves."""
    answer = client.post("/predict/means", json={"instances": [[1, 1]]})
    if answer.status_code == 503:
        return None
    return answer.json()["version"], answer.json()["predictions"][0]["probabilities"]["high"]


def test_version_whose_answers_change_is_replaced_by_one_that_proves_itself(
    drifting: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    until(lambda: high(drifting) == (1, 1.0), "version 1 stands in")

    shown = drifting.get("/models/means").json()
    assert (shown["state"], shown["active_version"], shown["serving_version"]) == ("degraded", 2, 1)
    assert shown["reason"].startswith(REASONS)
    assert drifting.get("/health").json()["status"] == "degraded"
    assert drifting.get("/readyz").status_code == 200
    assert drifting.post("/predict/thirds", json={"instances": [[0, 0, 0]]}).status_code == 200
    assert sum("it had proved itself before" in record.getMessage() for record in caplog.records) == 1


def test_version_that_was_withdrawn_serves_again_when_it_is_activated(drifting: TestClient) -> None:
    until(lambda: high(drifting) == (1, 1.0), "version 1 stands in")

    activated = drifting.post("/models/means/versions/2/activate").json()

    assert (activated["state"], activated["serving_version"]) == ("ready", 2)  # loaded afresh, it is right again


def test_without_another_version_no_answer_is_better_than_a_wrong_one(
    settings: Settings, repository: ModelRepository
) -> None:
    publish_as_means(repository, Drifts())
    with TestClient(create_app(settings.model_copy(update={"self_test_interval_s": 0.02}))) as client:
        until(lambda: client.get("/readyz").status_code == 503, "the version is withdrawn")

        assert client.get("/readyz").json()["reasons"]["means"].startswith(REASONS)
        assert client.post("/predict/means", json={"instances": [[1, 1]]}).status_code == 503


def with_registry(
    repository: ModelRepository, check: Callable[[Any], None], scene: Callable[[ModelRegistry], Awaitable[None]]
) -> list[str]:
    """Play a scene with a registry over the store, and return what became of versions that were to serve."""
    noted: list[str] = []

    async def run() -> None:
        loader = Loader(partial(load.load, device="cpu"), 8)
        registry = ModelRegistry(repository, loader, check, note=noted.append)
        await registry.refresh()
        await scene(registry)
        registry.close()

    asyncio.run(run())
    return noted


def test_every_swap_is_followed_by_a_test_of_what_serves(repository: ModelRepository) -> None:
    publish(repository)
    publish(repository, activate=False)
    tested: queue.SimpleQueue[int] = queue.SimpleQueue()

    async def scene(registry: ModelRegistry) -> None:
        testing = asyncio.create_task(watcher.keep_tested(registry, 0))
        for version in (1, 2, 1):
            await registry.activate("means", version)
            while await asyncio.to_thread(tested.get, timeout=300) != version:
                pass
        testing.cancel()

    noted = with_registry(repository, lambda loaded: tested.put(loaded.schema.version), scene)

    assert noted == ["served"] * 3  # the first at the start, which activating the same again does not repeat


def test_versions_that_are_asked_for_by_number_are_tested_too(repository: ModelRepository) -> None:
    publish(repository)
    publish(repository, activate=False)
    calls: list[int] = []

    async def scene(registry: ModelRegistry) -> None:
        asked = await registry.resolve("means", 2)
        await registry.self_test()
        assert await registry.resolve("means", 2) is asked

    with_registry(repository, lambda loaded: calls.append(loaded.schema.version), scene)
    assert sorted(calls) == [1, 2]


def test_error_while_testing_is_logged_and_takes_no_version_away(
    repository: ModelRepository, caplog: pytest.LogCaptureFixture
) -> None:
    publish(repository)

    def check(_loaded: object) -> None:
        raise MemoryError

    async def scene(registry: ModelRegistry) -> None:
        await registry.self_test()
        assert registry.active("means").schema.version == 1

    with caplog.at_level(logging.ERROR):
        assert with_registry(repository, check, scene) == ["served"]
    assert "version 1 of means could not be tested" in caplog.text


def test_what_became_of_versions_is_told(repository: ModelRepository) -> None:
    publish_as_means(repository, Drifts())

    async def scene(registry: ModelRegistry) -> None:
        for _ in range(GOOD_CALLS):
            await registry.self_test()
        with pytest.raises(ModelNotReady, match="|".join(REASONS)):
            registry.active("means")

    assert with_registry(repository, load.prove_again, scene) == ["served", "withdrawn"]
