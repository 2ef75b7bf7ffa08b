"""Explanations are computed in short steps, others between, and sampled for many features."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import orjson
import pytest

from app.errors import DeadlinePassed
from app.inference.additions.added import Added
from app.inference.additions.explanation import MOST_ROWS, Explainer, Explanation
from app.inference.batch_predictions import batch_of
from app.inference.errors import TooManyExplained
from app.inference.options import Explain
from app.inference.predictions import Predictions
from app.runtime.engines.choice import QuickestEngine
from app.runtime.load import LoadedModel
from app.schema import Float32, ModelSchema
from modelstore import Background
from tests.fakes import MeanModel, manifest_for, script

Infer = Callable[[Float32], Float32]


class Engine:
    """Answers by a function, and keeps the number of rows of each call."""

    def __init__(self, function: Infer) -> None:
        self.function = function
        self.calls: list[int] = []

    def infer(self, x: Float32) -> Float32:
        """Return the outputs."""
        self.calls.append(len(x))
        return self.function(x)


def product(x: Float32) -> Float32:
    """Return a probability that depends on all features together."""
    high = np.prod(0.5 + x / 2, axis=1, dtype=np.float64)
    return np.stack([1 - high, high], axis=1).astype(np.float32)


def loaded(engine: Engine, features: int, background: int = 8) -> LoadedModel:
    model = MeanModel(2, 0.0)
    manifest = manifest_for(model, script(model), features=tuple(f"f{place}" for place in range(features)))
    rows = np.random.default_rng(0).random((background, features)).astype(np.float32).tolist()
    weights = (1 / background,) * background
    manifest = manifest.model_copy(update={"background": Background(rows=tuple(map(tuple, rows)), weights=weights)})
    return LoadedModel(manifest, ModelSchema.of(manifest, 1), "cpu", 0.0, cast("QuickestEngine", engine))


def explain(
    model: LoadedModel, x: Float32, wanted: Explain | None = None, max_rows: int = 1 << 24, **named: Any
) -> Added:
    explanation = Explanation(Explainer(max_rows), model, model.schema, wanted or Explain(), **named)
    predictions = Predictions(batch_of(model.schema, x, model.infer(x)), 0, len(x))
    return asyncio.run(explanation.answer(predictions, range(len(x))))


def test_many_features_are_sampled_with_standard_errors() -> None:
    model = loaded(Engine(product), 16, background=8)
    x = np.full((1, 16), 0.9, np.float32)

    added = explain(model, x, Explain("high", top=3))

    found = orjson.loads(added.fields[0][len(',"explanation":') :])
    assert list(found) == ["method", "class", "base", "contributions", "other_contributions", "standard_errors"]
    assert (found["method"], len(found["contributions"])) == ("shapley-permutation", 3)
    assert list(found["standard_errors"]) == list(found["contributions"])
    total = found["base"] + sum(found["contributions"].values()) + found["other_contributions"]
    assert total == pytest.approx(float(product(x)[0, 1]), abs=1e-6)
    assert 0 < min(found["standard_errors"].values()) < max(found["standard_errors"].values()) < 0.005


def test_steps_are_as_long_as_they_take_little_time() -> None:
    def slow(x: Float32) -> Float32:
        """Take 10 us a row."""
        until = time.perf_counter_ns() + 10_000 * len(x)
        while time.perf_counter_ns() < until:
            pass
        return product(x)

    quick, tardy = Engine(product), Engine(slow)
    x = np.full((1, 8), 0.5, np.float32)
    explain(loaded(quick, 8), x)
    explain(loaded(tardy, 8), x)

    assert sum(quick.calls[1:]) == sum(tardy.calls[1:]) == 8 << 8
    assert max(quick.calls) <= MOST_ROWS
    assert len(tardy.calls) > len(quick.calls)
    assert np.median(tardy.calls[1:]) <= 32


def test_other_work_runs_between_two_steps() -> None:
    engine = Engine(product)
    model, turns = loaded(engine, 8), 0

    async def count() -> None:
        """Count how often the event loop comes round."""
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def both() -> None:
        """Explain while another task runs."""
        other = asyncio.create_task(count())
        explanation = Explanation(Explainer(1 << 24), model, model.schema, Explain())
        x = np.full((1, 8), 0.5, np.float32)
        await explanation.answer(Predictions(batch_of(model.schema, x, product(x)), 0, 1), [0])
        other.cancel()

    asyncio.run(both())

    assert turns >= len(engine.calls)


def test_nothing_is_computed_after_the_deadline_or_beyond_the_limit() -> None:
    engine = Engine(product)
    model, x = loaded(engine, 8), np.full((2, 8), 0.5, np.float32)

    with pytest.raises(DeadlinePassed):
        explain(model, x, deadline_ns=1)
    with pytest.raises(TooManyExplained, match="computes 2048 rows to explain one"):
        explain(model, x, max_rows=(8 << 8) + 1)

    assert engine.calls == [2, 2]  # the predictions only


def test_a_feature_that_the_model_ignores_contributes_nothing_and_twins_the_same() -> None:
    def twins(x: Float32) -> Float32:
        """Return a probability of the first two features."""
        return product(x[:, :2])

    model = loaded(Engine(twins), 4)
    background = model.background
    assert background is not None
    background[0][:, 1] = background[0][:, 0]

    _, contributions = explain(model, np.array([[0.7, 0.7, 0.1, 0.9]], np.float32)).values

    assert np.abs(contributions[0, 2:]).max() <= 1e-7
    assert contributions[0, 0] == pytest.approx(contributions[0, 1], abs=1e-6)
