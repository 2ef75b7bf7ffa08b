"""Of several reasons to abstain the first is answered; thresholds compare in float32."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from app.inference.additions.abstention import REASONS, Abstention
from app.inference.additions.sets import Levels
from app.inference.batch_predictions import batch_of
from app.inference.predictions import Predictions
from app.schema import ModelSchema
from modelstore import AbstainPolicy, Conformal, Decision, NumericFeature
from modelstore.trust import Spread

FEATURE = NumericFeature(name="x", mean=0, std=1, min=0, max=1, quantiles=(0.5,) * 9)
SCORES = Conformal(score="lac", rows=1, source="split", guarantee="marginal", scores=(0.5,))


def reasons(probabilities: list[float], x: list[float], decision: Decision | None = None, **policy: Any) -> list[Any]:
    """Return why nothing is decided for rows with these probabilities of the second class; None where a class is."""
    schema = ModelSchema.of_features("m", 1, [FEATURE], ("low", "high"), decision=decision)
    high = np.array(probabilities, np.float32)
    batch = batch_of(schema, np.array(x, np.float32)[:, None], np.stack([1 - high, high], axis=1))
    abstention = Abstention(Levels(schema, SCORES), AbstainPolicy(**policy), None)
    added = asyncio.run(abstention.answer(Predictions(batch, 0, len(x)), range(len(x))))
    assert all((label is None) != (reason is None) for (label,), (reason,) in zip(*added.values, strict=True))
    return [reason for (reason,) in added.values[1].tolist()]


def test_the_first_of_several_reasons_is_answered() -> None:
    found = reasons([0.5, 0.5, 0.9], [2, 0.5, 0.5], below=0.6, confidence=0.5, out_of_range=True)
    assert found == ["out_of_range", "low_confidence", None]
    assert reasons([0.5, 0.9], [2, 0.5], confidence=0.5) == ["ambiguous_set", None]  # both classes have a half
    assert set(REASONS) == {"out_of_range", "low_confidence", "empty_set", "ambiguous_set", "wide_interval"}


def test_a_probability_of_the_threshold_is_decided_in_the_precision_of_the_answers() -> None:
    assert reasons([0.7, 0.69999], [0.5, 0.5], below=0.7) == [None, "low_confidence"]


def test_the_confidence_is_that_of_the_decided_label() -> None:
    assert reasons([0.3, 0.9], [0.5, 0.5], Decision(threshold=0.2), below=0.4) == ["low_confidence", None]


def test_a_value_is_decided_where_its_interval_is_not_wider_than_the_limit() -> None:
    schema = ModelSchema.of_features("m", 1, [FEATURE], ())
    spread = Spread(values=(0, 100), spreads=(1, 101))
    scores = Conformal(
        score="scaled", rows=1, source="split", guarantee="marginal", scores=(2.0,), spread=spread
    )  # the interval of v is 4 (1 + v) wide
    values, x = np.array([[4], [5], [4]], np.float32), np.array([[0.5], [0.5], [2]], np.float32)
    policy = AbstainPolicy(wider=20, confidence=0.5, out_of_range=True)
    added = asyncio.run(
        Abstention(Levels(schema, scores), policy, None).answer(
            Predictions(batch_of(schema, x, values), 0, 3), range(3)
        )
    )

    decided, abstained = added.values
    assert decided.dtype == np.float32
    assert decided[:, 0].tolist() == pytest.approx([4, np.nan, np.nan], nan_ok=True)
    assert abstained[:, 0].tolist() == [None, "wide_interval", "out_of_range"]
    assert added.fields[:2] == [b',"decision":4.0', b',"decision":null,"abstained":"wide_interval"']


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_a_missing_value_is_out_of_range_like_one_beyond_it(value: float) -> None:
    assert reasons([0.9, 0.9], [value, 0.5], out_of_range=True) == ["out_of_range", None]
