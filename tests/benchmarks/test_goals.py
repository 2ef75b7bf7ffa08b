from __future__ import annotations

from benchmarks.goals import GOALS
from benchmarks.scenarios.catalogue import SCENARIOS


def test_every_goal_has_a_scenario_and_more_is_better_for_rates_only() -> None:
    assert {goal.scenario for goal in GOALS} <= set(SCENARIOS)
    assert all(goal.at_least == goal.figure.metric.endswith("_per_s") for goal in GOALS)
