"""What a manifest holds for sets and explanations is consistent."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from modelstore.trust import AbstainPolicy, Background, Conformal, DecisionPolicy, Spread


def test_each_background_row_has_a_weight() -> None:
    assert Background(rows=((1.0, None),), weights=(1.0,)).rows == ((1.0, None),)
    with pytest.raises(ValidationError, match="one weight for each row"):
        Background(rows=((1.0, None),), weights=(0.5, 0.5))


LAC: dict[str, Any] = {"score": "lac", "rows": 2, "source": "split", "guarantee": "marginal", "scores": (0.1, 0.4)}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scores": (0.4, 0.1)}, "ascending scores"),
        ({"rows": 3}, "one for each row"),
        ({"guarantee": "class"}, "per_class with the guarantee class"),
        ({"scores": None}, "either scores, or per_class"),
        ({"score": "scaled"}, "a spread with scaled scores"),
        ({"spread": Spread(values=(1, 2), spreads=(1, 1))}, "only with them"),
    ],
)
def test_scores_that_contradict_what_is_said_of_them_are_refused(changes: dict[str, Any], problem: str) -> None:
    assert Conformal(**LAC).misfit(("no", "yes")) is None
    assert Conformal(**LAC).misfit(()) == "scores lac for classes, and absolute or scaled for a quantity"
    with pytest.raises(ValidationError, match=problem):
        Conformal(**{**LAC, **changes})


def test_a_spread_is_of_ascending_values() -> None:
    for values, spreads in (((1, 1), (1, 1)), ((2, 1), (1, 1)), ((1, 2), (1,))):
        with pytest.raises(ValidationError, match="a spread for each of ascending values"):
            Spread(values=values, spreads=spreads)


def test_a_decision_is_for_classes() -> None:
    assert DecisionPolicy(maximise="f1").misfit(2) is None
    assert DecisionPolicy(maximise="f1").misfit(0) == "none, as a regression has no classes"


def test_a_policy_to_abstain_gives_a_reason() -> None:
    with pytest.raises(ValidationError, match="at least one of below, confidence, wider and out_of_range"):
        AbstainPolicy()
    with pytest.raises(ValidationError, match="a confidence beside wider"):
        AbstainPolicy(wider=1)


def test_a_policy_to_abstain_is_for_classes_or_a_quantity() -> None:
    anything, classes = AbstainPolicy(out_of_range=True), AbstainPolicy(below=0.8, confidence=0.9)
    quantity = AbstainPolicy(wider=100, confidence=0.9)

    assert [policy.misfit(2) is None for policy in (anything, classes, quantity)] == [True, True, False]
    assert [policy.misfit(0) is None for policy in (anything, classes, quantity)] == [True, False, True]
    assert AbstainPolicy(confidence=0.9).misfit(0) is not None  # the sets of a quantity would be intervals
