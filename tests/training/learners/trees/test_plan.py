"""What a budget allows boosted trees."""

from __future__ import annotations

import pytest

from training.learners.trees.plan import LEAST_ITERATIONS, MOST_STEPS, SETTINGS, Work, plan_for

FEW = Work(rows=800, columns=10, outputs=1, trials=5, models=5, averaged=5)
MANY = Work(rows=400_000, columns=30, outputs=1, trials=1, models=1, averaged=1)


def visits(work: Work, budget_s: float) -> int:
    """Return all iterations of a plan, of all settings that are tried."""
    return work.trials * sum(plan_for(work, budget_s).values())


def test_a_small_table_tries_every_setting_with_all_iterations() -> None:
    plan = plan_for(FEW, 60)

    assert tuple(plan) == SETTINGS
    assert all(most * setting.max_depth * FEW.averaged <= MOST_STEPS for setting, most in plan.items())


def test_a_larger_budget_buys_iterations_and_then_settings_until_all_are_paid() -> None:
    bought = [visits(MANY, seconds) for seconds in (10, 20, 40, 100, 1_000, 10_000)]

    assert bought[1] == pytest.approx(2 * bought[0], rel=0.2)
    assert bought[:4] == sorted(set(bought[:4]))
    assert bought[4] == bought[5] == sum(MANY.most_iterations(setting) for setting in SETTINGS)


def test_the_least_budget_still_buys_some_iterations() -> None:
    assert plan_for(MANY, 0.001) == {SETTINGS[0]: LEAST_ITERATIONS}
