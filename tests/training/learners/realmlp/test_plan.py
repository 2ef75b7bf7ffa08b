"""What a budget allows."""

from __future__ import annotations

import pytest

from tests.training.samples import clouds
from training.learners.realmlp.inputs import fit_inputs
from training.learners.realmlp.network import Networks
from training.learners.realmlp.plan import EPOCHS, NARROW, WIDE, hidden_for, networks_for, plan_for

NETWORKS = Networks(fit_inputs(clouds(20)), 1, 3, WIDE)


@pytest.mark.parametrize("rows", [1, 5, 63, 300, 5_000, 50_000, 10_000_000])
@pytest.mark.parametrize("budget_s", [1, 60, 86_400])
def test_a_plan_has_steps_of_rows_that_are_there(rows: int, budget_s: float) -> None:
    plan = plan_for(NETWORKS, rows, budget_s)

    assert 1 <= plan.epoch_rows <= rows
    assert 1 <= plan.epochs <= EPOCHS


def test_a_larger_budget_buys_row_visits_until_all_epochs_are_paid() -> None:
    visits = [(plan := plan_for(NETWORKS, 5_000, seconds)).epochs * plan.epoch_rows for seconds in (1, 2, 4, 86_400)]

    assert visits[0] < visits[1] < visits[2] < visits[3]
    assert visits[1] == pytest.approx(2 * visits[0], rel=0.2)
    assert plan_for(NETWORKS, 5_000, 86_400).epochs == EPOCHS


def test_an_epoch_of_a_huge_table_has_a_part_of_its_rows() -> None:
    plan = plan_for(NETWORKS, 10_000_000, 60)

    assert plan.epoch_rows < 1_000_000
    assert plan.epochs >= 8


@pytest.mark.parametrize(("rows", "networks", "hidden"), [(1_000, 4, NARROW), (10_000, 1, WIDE), (50_000, 1, NARROW)])
def test_small_tables_get_several_narrow_networks(rows: int, networks: int, hidden: tuple[int, ...]) -> None:
    assert (networks_for(rows), hidden_for(rows)) == (networks, hidden)
