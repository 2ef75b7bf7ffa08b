"""Shadows run in steps with pauses, on copies of rows, and their failures are counted."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.inference.shadow import STEP_ROWS, ShadowRunner
from app.receipts import ShadowAnswer
from app.schema import Float32
from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.version_counters import SHADOWED
from tests.app.inference.additions.test_explanation import Engine, Infer, loaded, product

PAIR = ("means", "1", "1")
BUSY_S = 0.004


class Scene:
    """A version with a shadow and what became of its rows; the shadow has the same number, for both are version 1."""

    def __init__(self, shadow: Infer, *, max_queue_rows: int = 10_000, share: float = 1.0, **schema: Any) -> None:
        self.engine = Engine(shadow)
        pair = loaded(Engine(product), 2), loaded(self.engine, 2)
        self.model, self.shadow = (replace(one, schema=replace(one.schema, **schema)) for one in pair)
        self.shadows = {self.model: self.shadow}
        self.counts = CountsByVersion()
        self.kept: list[ShadowAnswer] = []
        self.runner = ShadowRunner(self.shadows, self.counts, self._keep, max_queue_rows=max_queue_rows, share=share)

    async def _keep(self, answers: Sequence[ShadowAnswer]) -> None:
        self.kept += answers

    def offer(self, x: Float32) -> None:
        """Offer rows with the answers of the version."""
        self.runner.offer(self.model, x, product(x))

    def counted(self) -> list[float]:
        """Return rows compared, with the same class, distance, failed and dropped."""
        return self.counts.figures[SHADOWED][PAIR]

    def compute(self, rows: int) -> None:
        """Compute until so many rows were compared, failed or kept."""
        self.compute_until(lambda: self.counted()[0] + self.counted()[3] + len(self.kept) >= rows)

    def compute_until(self, done: Callable[[], bool]) -> None:
        """Compute until something is so."""

        async def run() -> None:
            task = asyncio.create_task(self.runner.keep_computing())
            async with asyncio.timeout(120):
                while not done():  # noqa: ASYNC110 - counts only
                    await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(run())


def other(x: Float32) -> Float32:
    """Return the answers of `product` with the classes exchanged."""
    return product(x)[:, ::-1].copy()


def rows(count: int) -> Float32:
    return np.random.default_rng(0).random((count, 2)).astype(np.float32)


@pytest.mark.parametrize(("shadow", "same"), [(product, 500), (other, 0)])
def test_small_batches_are_computed_together_in_steps(shadow: Infer, same: int) -> None:
    scene = Scene(shadow)
    for x in np.array_split(rows(500), 100):
        scene.offer(x)
    scene.offer(rows(STEP_ROWS))
    scene.compute(500 + STEP_ROWS)

    assert scene.engine.calls == [500, STEP_ROWS]
    assert scene.counted()[:2] == [500 + STEP_ROWS, same + (STEP_ROWS if same else 0)]


def test_rows_are_copied_since_their_memory_is_that_of_a_body() -> None:
    scene, x = Scene(product), rows(3)
    scene.offer(x[:2])
    x[:] = np.nan
    scene.compute(2)

    assert scene.counted() == [2, 2, 0, 0, 0]


def test_answers_to_rows_with_receipts_are_kept_and_not_counted_as_compared() -> None:
    scene, x = Scene(product), rows(4)
    scene.offer(x[:1])
    scene.runner.offer_receipts(scene.model, x, [bytes([n]) * 12 for n in range(4)], 77)
    scene.compute(5)

    assert scene.kept == [ShadowAnswer(bytes([n]) * 12, 1, 77, float(product(x)[n].argmax())) for n in range(4)]
    assert scene.counted() == [1, 1, 0, 0, 0]


def test_a_quantity_that_overflows_is_a_failure_and_the_other_distances_are_counted() -> None:
    def overflows(x: Float32) -> Float32:
        """Return the first value, and one more, without an end for 0."""
        return np.where(x[:, :1] == 0, np.inf, x[:, :1] + 1).astype(np.float32)

    scene = Scene(overflows, task="regression", kind="regression", classes=())
    x = np.array([[0, 0], [2, 0], [4, 0]], np.float32)
    scene.runner.offer(scene.model, x, np.where(x[:, :1] == 0, np.inf, x[:, :1]).astype(np.float32))
    scene.compute(3)

    assert scene.counted() == [2, 0, 2.0, 1, 0]


def test_a_failure_is_counted_and_the_next_rows_are_compared(caplog: pytest.LogCaptureFixture) -> None:
    def fails_for_many(x: Float32) -> Float32:
        """Fail for several rows, and overflow for one with a first value of 0."""
        if len(x) > 1:
            raise ValueError("no")
        return np.full((1, 2), np.nan, np.float32) if x[0, 0] == 0 else product(x)

    scene = Scene(fails_for_many)
    for x in (rows(3), rows(2), np.zeros((1, 2), np.float32), rows(1)):
        scene.offer(x)
        scene.compute(int(sum(scene.counted()[place] for place in (0, 3))) + len(x))

    assert scene.counted() == [1, 1, 0, 6, 0]
    assert caplog.text.count("the shadow means version 1 could not be compared") == 1


def test_a_full_queue_drops_rows_and_a_version_without_a_shadow_offers_none() -> None:
    scene = Scene(product, max_queue_rows=5)
    for count in (3, 3, 2):
        scene.offer(rows(count))
    scene.runner.offer(scene.shadow, rows(1), product(rows(1)))
    scene.compute(5)

    assert scene.counted() == [5, 5, 0, 0, 3]
    assert (scene.runner.has(scene.model), scene.runner.has(scene.shadow)) == (True, False)


def test_versions_leave_the_memory_once_their_shadow_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.inference.shadow.LOOK_S", 0.01)
    scene = Scene(product)
    kept = weakref.WeakSet([scene.model, scene.shadow])
    scene.offer(rows(1))
    scene.compute(1)
    scene.shadows.clear()
    del scene.model, scene.shadow

    scene.compute_until(lambda: not kept)

    assert not kept


def test_pauses_keep_the_work_below_its_share() -> None:
    began_s: list[float] = []

    def busy(x: Float32) -> Float32:
        """Take some time."""
        began_s.append(time.perf_counter())
        while time.perf_counter() < began_s[-1] + BUSY_S:
            pass
        return product(x)

    scene = Scene(busy, share=0.2)
    for _ in range(3):
        scene.offer(rows(STEP_ROWS))
    scene.compute(3 * STEP_ROWS)

    assert np.diff(began_s).min() >= BUSY_S / 0.2
