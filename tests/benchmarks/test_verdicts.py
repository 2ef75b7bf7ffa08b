"""A goal is reached by the median, or by every round, or was not measured."""

from __future__ import annotations

import pytest

from benchmarks.goals import GOALS, Figure, Goal
from benchmarks.outcomes import Outcome, Results
from benchmarks.verdicts import judge
from tests.benchmarks.test_outcomes import MACHINE, drifting


def verdict(goal: Goal, outcome: Outcome) -> bool | None:
    return judge(goal, Results(machine=MACHINE, outcomes={outcome.scenario: outcome})).reached


def throughput(bound: float, *, every_round: bool = False) -> Goal:
    over = Figure("constant", "requests_per_s")
    figure = Figure("tabserve", "requests_per_s")
    return Goal("", "one_row_64", figure, over, bound, every_round=every_round)


@pytest.mark.parametrize(("bound", "reached"), [(0.75, True), (0.8, True), (0.81, False)])
def test_the_median_decides(bound: float, reached: bool) -> None:
    assert verdict(throughput(bound), drifting()) is reached


def test_where_every_round_counts_one_bad_round_decides() -> None:
    assert verdict(throughput(0.75, every_round=True), drifting()) is False


@pytest.mark.parametrize(("failures", "reached"), [((0, 0, 0), True), ((0, 0, 1), False)])
def test_a_single_failure_in_one_round_misses_the_goal(failures: tuple[int, ...], reached: bool) -> None:
    goal = next(goal for goal in GOALS if goal.figure.metric == "failures")
    outcome = Outcome(scenario=goal.scenario, title="")
    for count in failures:
        outcome.add(goal.figure.system, failures=count)
    assert verdict(goal, outcome) is reached


def test_what_was_skipped_is_neither_reached_nor_missed_and_says_why() -> None:
    outcome = drifting()
    outcome.skipped["columns"] = "answers 415"
    goal = Goal("", "one_row_64", Figure("columns", "rows_per_s"), Figure("constant", "rows_per_s"), 1)
    found = judge(goal, Results(machine=MACHINE, outcomes={"one_row_64": outcome}))
    assert (found.reached, found.reason) == (None, "answers 415")
