"""Whether the goals were reached, by the results of one run."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.goals import Figure, Goal
from benchmarks.outcomes import FAILED, Outcome, Results, Spread


@dataclass(frozen=True)
class Verdict:
    """How a goal stands; no measured spread if it was not measured, and then the reason."""

    goal: Goal
    measured: Spread | None
    reason: str = ""

    @property
    def reached(self) -> bool | None:
        """Tell whether the goal is reached; None if it was not measured."""
        if self.measured is None:
            return None
        worst = self.measured.low if self.goal.at_least else self.measured.high
        value = worst if self.goal.every_round else self.measured.median
        return value >= self.goal.bound if self.goal.at_least else value <= self.goal.bound


def judge(goal: Goal, results: Results) -> Verdict:
    """Return how a goal stands."""
    outcome = results.outcomes.get(goal.scenario)
    if outcome is None:
        return Verdict(goal, None, f"{goal.scenario} was not run")
    figure, over = goal.figure, goal.over
    if over is None:
        measured = outcome.spread(figure.system, figure.metric)
    else:
        measured = outcome.ratio(figure.system, over.system, figure.metric, over.metric)
    return Verdict(goal, measured, "" if measured else _why(outcome, figure, over))


def _why(outcome: Outcome, *figures: Figure | None) -> str:
    if FAILED in outcome.skipped:
        return outcome.skipped[FAILED]
    reasons = [outcome.skipped[figure.system] for figure in figures if figure and figure.system in outcome.skipped]
    return reasons[0] if reasons else "not measured"
