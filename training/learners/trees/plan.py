"""Plan boosted trees, their settings and iterations, from the budget and the table alone.

It must not know clocks: the same table, budget and seed give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from modelstore.overrides import TreesSettings

MOST_STEPS = 10_000  # of a row through all trees of a model: some 20,000 rows a second on one core
LEAST_ITERATIONS = 20
ENOUGH = 5.0  # learning rate times iterations
CELL_S = 2e-7  # of a row and column before the first tree
LEAF_S, LEAF_COLUMN_S = 2.1e-5, 1.8e-6  # of each leaf, and of each column there
STEP_S, STEP_COLUMN_S = 7e-9, 3e-10  # of a row through one level of a tree, and of each column there


class BoostingSetting(NamedTuple):
    """What is varied of `HistGradientBoosting...`."""

    learning_rate: float
    max_leaf_nodes: int
    max_depth: int
    min_samples_leaf: int
    l2_regularization: float
    max_features: float

    def within(self, iterations: int) -> BoostingSetting:
        """Return the setting that learns enough in so many iterations."""
        return self._replace(learning_rate=max(self.learning_rate, ENOUGH / iterations))


SETTINGS = (
    *(BoostingSetting(0.1, 31, 8, 20, 0.0, 1.0), BoostingSetting(0.1, 31, 8, 5, 1.0, 0.5)),
    *(BoostingSetting(0.05, 15, 6, 5, 1.0, 0.5), BoostingSetting(0.05, 6, 4, 10, 1.0, 0.5)),
)
COUNTS = (4, 2, 1)  # of settings that are tried, from the first on


class Work(NamedTuple):
    """What is fitted.

    Attributes:
        rows: training rows of a model.
        columns: columns that trees test.
        outputs: number of sums that trees are for.
        trials: models of each setting that is tried.
        models: models of the setting that is chosen.
        averaged: number of models in the published one.
    """

    rows: int
    columns: int
    outputs: int
    trials: int
    models: int
    averaged: int

    def most_iterations(self, setting: BoostingSetting) -> int:
        """Return how many iterations fit into the limit of steps."""
        return max(LEAST_ITERATIONS, MOST_STEPS // (setting.max_depth * self.outputs * self.averaged))

    @property
    def start_s(self) -> float:
        """Return the seconds of one model before its first iteration, on one core; see `iteration_s`."""
        return CELL_S * self.rows * self.columns

    def iteration_s(self, setting: BoostingSetting) -> float:
        """Return the seconds of one iteration on one core of the machine where the costs here were measured."""
        leaves = setting.max_leaf_nodes * (LEAF_S + self.columns * LEAF_COLUMN_S)
        return self.outputs * (leaves + self.rows * setting.max_depth * (STEP_S + self.columns * STEP_COLUMN_S))


def settings_for(own: TreesSettings | None) -> Sequence[BoostingSetting]:
    """Return the settings to try: those that a training names, or the usual ones."""
    return [BoostingSetting(own.lr, own.leaves, own.depth, own.leaf_rows, own.l2, own.columns)] if own else SETTINGS


def plan_for(work: Work, budget_s: float, settings: Sequence[BoostingSetting] = SETTINGS) -> dict[BoostingSetting, int]:
    """Return the settings that are tried, and the most iterations of each.

    There are as many settings as the budget pays for in full; if it does not pay for one, that has fewer iterations.

    Early stopping, which ends most models before their last iteration, is not counted on.

    Args:
        work: what is fitted.
        budget_s: seconds on one core of the machine where the costs here were measured.
        settings: what is tried, if the budget pays for it.
    """
    for count in COUNTS:
        plan = {setting: work.most_iterations(setting) for setting in settings[:count]}
        fits_s = [work.start_s + most * work.iteration_s(setting) for setting, most in plan.items()]
        if work.trials * sum(fits_s) + (work.models - work.trials) * max(fits_s) <= budget_s:
            return plan
    ((setting, most),) = plan.items()
    affordable = int((budget_s / work.models - work.start_s) / work.iteration_s(setting))
    return {setting: max(LEAST_ITERATIONS, min(most, affordable))}
