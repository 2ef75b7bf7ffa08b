from __future__ import annotations

from benchmarks.goals import GOALS
from benchmarks.scenarios.catalogue import SCENARIOS


def test_every_goal_has_a_scenario_and_more_is_better_for_rates_only() -> None:
    assert {goal.scenario for goal in GOALS} <= set(SCENARIOS)
    issues = {"formats", "metrics", "OIP", "training", "engines", "trust"}
    assert {goal.number for goal in GOALS} == {1, 2, 3, 4, 5, 6, 7, *issues}
    assert all(goal.at_least == goal.figure.metric.endswith("_per_s") for goal in GOALS)
