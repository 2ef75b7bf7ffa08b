"""Sets and intervals of a block: names that hold the separator, many rows, finite ends."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import orjson
import pytest

from app.errors import InvalidInput
from app.inference.additions.added import Added
from app.inference.additions.sets import STEP_ROWS, Intervals, Levels, Sets
from app.inference.batch_predictions import batch_of
from app.inference.predictions import Predictions
from app.schema import Float32, ModelSchema
from modelstore import Conformal, NumericFeature

FEATURE = NumericFeature(name="x", mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9)
LAC = Conformal(score="lac", rows=1, source="split", guarantee="marginal", scores=(0.6,))
ABSOLUTE = Conformal(score="absolute", rows=1, source="split", guarantee="marginal", scores=(2.5,))


def schema_of(classes: tuple[str, ...]) -> ModelSchema:
    task: Any = "classification" if classes else "regression"
    return ModelSchema.of_features("m", 3, [FEATURE], classes, task=task)


def answer(addition: Sets | Intervals, schema: ModelSchema, outputs: Float32, start: int = 0) -> Added:
    x = np.full((len(outputs), 1), 0.5, np.float32)
    predictions = Predictions(batch_of(schema, x, outputs), start, len(x))
    return asyncio.run(addition.answer(predictions, range(len(x) - start)))


def test_names_that_hold_the_mark_between_them_are_told_apart() -> None:
    schema = schema_of(("a|b", "c\\", "d"))
    added = answer(Sets(Levels(schema, LAC), 0.5), schema, np.array([[0.4, 0.4, 0.2]], np.float32))

    assert added.values[0].tolist() == [["a\\|b|c\\\\"]]
    assert orjson.loads(b"{" + added.fields[0][1:] + b"}") == {"set": ["a|b", "c\\"]}


def test_each_row_of_many_gets_its_own_set() -> None:
    schema = schema_of(("low", "high"))
    high = np.random.default_rng(0).random(2 * STEP_ROWS + 7).astype(np.float32)
    added = answer(Sets(Levels(schema, LAC), 0.5), schema, np.stack([1 - high, high], axis=1), start=3)

    expected = [[name for name, p in (("low", 1 - one), ("high", one)) if 1 - float(p) <= 0.6] for one in high[3:]]
    assert [orjson.loads(b"{" + field[1:] + b"}")["set"] for field in added.fields] == expected
    assert [text for (text,) in added.values[0].tolist()] == ["|".join(names) for names in expected]


def test_an_interval_reaches_as_far_to_both_sides_and_beyond_float32_has_no_end() -> None:
    schema = schema_of(())
    added = answer(Intervals(Levels(schema, ABSOLUTE), 0.5), schema, np.array([[1.0], [-3.0]], np.float32))

    assert added.values[0].tolist() == [[-1.5, 3.5], [-5.5, -0.5]]
    assert added.fields == [b',"interval":[-1.5,3.5]', b',"interval":[-5.5,-0.5]']
    few = Intervals(Levels(schema, ABSOLUTE), 0.6)
    assert answer(few, schema, np.array([[1.0]], np.float32)).fields == [b',"interval":[null,null]']
    assert dict(few.outputs[0].facts)["reason"].startswith("every interval is unbounded")


def test_a_version_without_scores_is_named() -> None:
    with pytest.raises(InvalidInput, match="confidence: version 3 of m has no scores of held-out rows"):
        Sets(Levels(schema_of(("low", "high")), None), 0.9)
