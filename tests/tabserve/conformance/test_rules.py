"""Rules, and what is found of each."""

from __future__ import annotations

import pytest

from tabserve.conformance.rules import CannotCheck, Rule, RuleBroken, check_all, require


def breaks() -> None:
    require(False, "three, not two")


def cannot() -> None:
    raise CannotCheck("no version")


def test_each_rule_has_its_outcome_and_the_next_is_checked_all_the_same() -> None:
    rules = [Rule(check.__name__, "says", "source", check) for check in (breaks, cannot, lambda: require(1, ""))]

    found = [(each.outcome, each.detail) for each in check_all(rules)]

    assert found == [("broken", "three, not two"), ("skipped", "no version"), ("kept", "")]
    assert next(check_all(rules)).document() == {
        "name": "breaks", "says": "says", "source": "source", "outcome": "broken", "detail": "three, not two",
    }  # fmt: skip


def test_requirement_that_does_not_hold_breaks_the_rule() -> None:
    with pytest.raises(RuleBroken, match="why"):
        require([], "why")
