"""The data plane with real models: batches, sizes, versions, bounds, non-finite answers."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import pytest

from app.inference.dataplane import MAX_BATCH_ROWS, DataPlane
from app.inference.errors import RowQueueFull
from app.inference.predictions import Predictions, find_overflows
from app.registry.errors import ModelNotFound, VersionNotFound
from app.registry.loader import Loader
from app.registry.registry import ModelRegistry
from app.runtime import load
from app.runtime.engines.choice import Choice, QuickestEngine
from app.runtime.load import LoadedModel
from app.schema import Float32
from app.telemetry.metrics import ServingMetrics
from modelstore import ModelRepository
from tests.app.broken import RaisesLater, publish_as_means
from tests.app.overflow import Overflows
from tests.app.tables import rows
from tests.app.telemetry.figures import text
from tests.fakes import publish

T = TypeVar("T")


def with_plane(
    repository: ModelRepository, scene: Callable[[DataPlane], Awaitable[T]], *, queue: int = 65_536, wait_s: float = 0.0
) -> tuple[T, bytes]:
    """Return what happens in a scene with a plane over the store, and the figures afterwards."""

    async def run() -> tuple[T, bytes]:
        registry = ModelRegistry(repository, Loader(partial(load.load, device="cpu"), 8), load.prove_again)
        await registry.refresh()
        metrics = ServingMetrics()
        plane = DataPlane(registry, metrics, max_queue_rows=queue, max_wait_s=wait_s)
        return await scene(plane), text(metrics).encode()

    return asyncio.run(run())


@pytest.fixture
def store(repository: ModelRepository) -> ModelRepository:
    """Return a store with version 1 of `means` active and version 2, which adds a half."""
    publish(repository)
    publish(repository, shift=0.5, activate=False)
    return repository


def high(answer: Predictions) -> list[float]:
    return [float(value) for value in answer.outputs[:, 1]]


def test_requests_of_one_turn_get_their_own_parts(store: ModelRepository) -> None:
    sizes = (1, 3, 2, 5)
    parts = [rows(size) for size in sizes]

    async def scene(plane: DataPlane) -> list[Predictions]:
        model = plane.active("means")
        return list(await asyncio.gather(*(plane.infer(model, x) for x in parts)))

    answers, _ = with_plane(store, scene)
    assert len({id(answer.batch) for answer in answers}) == 1
    assert [(answer.start, answer.stop) for answer in answers] == [(0, 1), (1, 4), (4, 6), (6, 11)]
    for x, answer in zip(parts, answers, strict=True):
        assert np.array_equal(answer.outputs[:, 1], x.mean(axis=1, dtype=np.float32))


@pytest.mark.parametrize("count", [1, MAX_BATCH_ROWS, MAX_BATCH_ROWS + 1, 3 * MAX_BATCH_ROWS + 7])
def test_any_number_of_rows_is_answered_whole_and_counted_once(store: ModelRepository, count: int) -> None:
    x = rows(count)

    async def scene(plane: DataPlane) -> Predictions:
        return await plane.infer(plane.active("means"), x)

    answer, figures = with_plane(store, scene)
    assert (answer.rows, answer.outputs.shape) == (count, (count, 2))
    assert np.array_equal(answer.outputs[:, 1], x.mean(axis=1, dtype=np.float32))
    assert b'tabserve_inference_rows_total{model="means",version="1"} %d.0\n' % count in figures


class SlowEngine:
    """Answers with the mean, as `means` does, and notes the sizes of its batches; 16 us a row, it says."""

    name = "slow"

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def infer(self, x: Float32) -> Float32:
        self.sizes.append(len(x))
        high = x.mean(axis=1, dtype=np.float32)
        return np.stack([1 - high, high], axis=1)


def slow_one(plane: DataPlane) -> tuple[LoadedModel, SlowEngine]:
    """Return a version whose rows take so long that a step of 1 ms has 32 of them, and its engine."""
    engine = SlowEngine()
    choices = [Choice(MAX_BATCH_ROWS, engine, 16.0 * MAX_BATCH_ROWS)]
    return replace(plane.active("means"), engine=QuickestEngine(choices)), engine


def test_rows_that_take_long_are_computed_in_shorter_steps(store: ModelRepository) -> None:
    x = rows(100)

    async def scene(plane: DataPlane) -> tuple[Predictions, list[int], list[int]]:
        model, engine = slow_one(plane)
        large = asyncio.create_task(plane.infer(model, x))
        await asyncio.sleep(0)
        before = list(engine.sizes)
        await plane.infer(plane.active("means"), rows(1))  # another client, who need not wait for all
        return await large, before, engine.sizes

    (answer, before, sizes), _ = with_plane(store, scene)
    assert before == [32]
    assert sizes == [32, 32, 32, 4]
    assert np.array_equal(answer.outputs[:, 1], x.mean(axis=1, dtype=np.float32))


def test_requests_whose_rows_take_long_share_shorter_batches(store: ModelRepository) -> None:
    async def scene(plane: DataPlane) -> list[int]:
        model, engine = slow_one(plane)
        await asyncio.gather(*(plane.infer(model, rows(20)) for _ in range(3)))
        return engine.sizes

    sizes, _ = with_plane(store, scene)
    assert sizes == [20, 20, 20]


def test_versions_do_not_share_a_batch(store: ModelRepository) -> None:
    x = np.array([[0.25, 0.25]], dtype=np.float32)

    async def scene(plane: DataPlane) -> list[Predictions]:
        models = [await plane.resolve("means", version) for version in (None, 2, 1)]
        return list(await asyncio.gather(*(plane.infer(model, x) for model in models)))

    answers, figures = with_plane(store, scene)
    assert [(answer.schema.version, high(answer)) for answer in answers] == [(1, [0.25]), (2, [0.75]), (1, [0.25])]
    assert b'tabserve_inference_rows_total{model="means",version="1"} 2.0\n' in figures
    assert b'tabserve_inference_rows_total{model="means",version="2"} 1.0\n' in figures


def test_removed_version_leaves_the_memory(store: ModelRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.inference.dataplane.TIDY_S", 0.01)

    async def scene() -> None:
        registry = ModelRegistry(store, Loader(partial(load.load, device="cpu"), 8), load.prove_again)
        await registry.refresh()
        plane = DataPlane(registry, ServingMetrics(), max_queue_rows=100, max_wait_s=0)
        model = plane.active("means")
        assert high(await plane.infer(model, rows(1)))
        kept = weakref.ref(model)
        del model
        await registry.remove_model("means")
        tidying = asyncio.create_task(plane.keep_tidy())
        async with asyncio.timeout(120):
            while kept() is not None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        tidying.cancel()

    asyncio.run(scene())


def test_unknown_model_and_version_are_named(store: ModelRepository) -> None:
    async def scene(plane: DataPlane) -> None:
        with pytest.raises(ModelNotFound):
            plane.active("nobody")
        with pytest.raises(VersionNotFound):
            await plane.resolve("means", 99)

    with_plane(store, scene)


def submitted(plane: DataPlane, *parts: Float32, alone: bool = False) -> list[Predictions | Exception]:
    """Submit requests to the active version and return where their answers will be."""
    answers: list[Predictions | Exception] = []
    for x in parts:
        plane.submit(plane.active("means"), x, answers.append, alone=alone)
    return answers


def test_request_that_is_alone_is_answered_at_once(store: ModelRepository) -> None:
    async def scene(plane: DataPlane) -> list[Predictions | Exception]:
        return submitted(plane, np.array([[0.5, 1.0]], dtype=np.float32), alone=True)

    (answer,), _ = with_plane(store, scene)
    assert isinstance(answer, Predictions)
    assert high(answer) == [0.75]


def test_overflow_of_one_request_is_its_own(repository: ModelRepository) -> None:
    publish_as_means(repository, Overflows(2, 0.0))
    good, bad = np.array([[0.5, 0.5]], np.float32), np.array([[0.5, 0.5], [3e38, 3e38]], np.float32)

    async def scene(plane: DataPlane) -> list[Predictions | Exception]:
        answers = submitted(plane, good, bad, good)
        await asyncio.sleep(0)
        return answers

    (first, second, third), _ = with_plane(repository, scene)
    assert isinstance(first, Predictions)
    assert isinstance(third, Predictions)
    assert high(first) == high(third) == [0.5]
    assert isinstance(second, Predictions)
    assert [find_overflows(answer) for answer in (first, second, third)] == [[], [1], []]


def test_failure_of_the_model_reaches_all_of_its_batch_and_no_other(repository: ModelRepository) -> None:
    publish_as_means(repository, RaisesLater(2, 0.0))
    poison, good = np.array([[2e6, 0.5]], np.float32), np.array([[0.5, 0.5]], np.float32)

    async def scene(plane: DataPlane) -> list[Predictions | Exception]:
        together = submitted(plane, poison, good)
        await asyncio.sleep(0)
        return [*together, await plane.infer(plane.active("means"), good)]

    (first, second, later), _ = with_plane(repository, scene)
    assert isinstance(first, Exception)
    assert second is first
    assert isinstance(later, Predictions)


def test_queue_is_bounded_in_rows_for_each_version(store: ModelRepository) -> None:
    async def scene(plane: DataPlane) -> None:
        answers = submitted(plane, rows(6), rows(4))
        with pytest.raises(RowQueueFull):
            submitted(plane, rows(1))
        other = await asyncio.wait_for(plane.infer(await plane.resolve("means", 1), rows(1)), 120)
        assert other.rows == 1
        assert len(answers) == 2

    with_plane(store, scene, queue=10)


def test_cancelled_request_leaves_its_neighbours_served(store: ModelRepository) -> None:
    async def scene(plane: DataPlane) -> list[Predictions | BaseException]:
        model = plane.active("means")
        tasks = [
            asyncio.ensure_future(plane.infer(model, np.full((1, 2), value, np.float32))) for value in (0.25, 0.5, 0.75)
        ]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    (first, second, third), figures = with_plane(store, scene, wait_s=0.2)
    assert isinstance(first, Predictions)
    assert isinstance(third, Predictions)
    assert (high(first), high(third)) == ([0.25], [0.75])
    assert isinstance(second, asyncio.CancelledError)
    assert b'tabserve_inference_rows_total{model="means",version="1"} 2.0\n' in figures
