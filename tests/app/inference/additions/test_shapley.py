"""Shapley values of games with known values: by the definition, symmetry and linearity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from app.inference.additions.shapley import Exact, Floats, Permutations, Plan, plan_for


def worth_of(plan: Plan, game: Floats) -> Floats:
    """Return the worth of a plan's coalitions in a game, which holds that of each set of features, by its bits."""
    members = plan.members(0, plan.coalitions)
    bits: Floats = game[members @ (1 << np.arange(members.shape[1]))]
    return bits


def by_definition(game: Floats, features: int) -> Floats:
    """Return the mean of what each feature adds, over all orders of the features."""
    total = np.zeros(features)
    orders = list(itertools.permutations(range(features)))
    for order in orders:
        bits = 0
        for feature in order:
            total[feature] += game[bits | 1 << feature] - game[bits]
            bits |= 1 << feature
    return total / len(orders)


@pytest.mark.parametrize("features", [1, 2, 5])
def test_all_coalitions_give_the_values_of_the_definition(features: int) -> None:
    game = np.random.default_rng(features).normal(size=1 << features)
    plan = Exact(features)

    values = plan.values(worth_of(plan, game))

    assert values.errors is None
    assert values.base == game[0]
    assert values.contributions == pytest.approx(by_definition(game, features), abs=1e-12)


def test_permutations_are_exact_where_features_act_in_pairs_and_always_add_up() -> None:
    features, generator = 6, np.random.default_rng(0)
    chosen = (np.arange(1 << features)[:, None] >> np.arange(features) & 1).astype(float)
    pairs = np.einsum("ni,ij,nj->n", chosen, generator.normal(size=(features, features)), chosen)
    any_game = generator.normal(size=1 << features)
    plan = Permutations(features, 40)

    exact, sampled = plan.values(worth_of(plan, pairs)), plan.values(worth_of(plan, any_game))

    assert exact.contributions == pytest.approx(by_definition(pairs, features), abs=1e-12)
    assert exact.errors == pytest.approx(np.zeros(features), abs=1e-12)
    assert sampled.base + sampled.contributions.sum() == pytest.approx(any_game[-1], abs=1e-12)
    assert sampled.errors is not None
    far = np.abs(sampled.contributions - by_definition(any_game, features)) / sampled.errors
    assert far.max() < 4
    assert sampled.errors.min() > 0


def test_members_are_the_same_in_any_part() -> None:
    for plan in (Exact(5), Permutations(5, 3)):
        whole = plan.members(0, plan.coalitions)
        parts = [plan.members(number, number + 1) for number in range(plan.coalitions)]
        assert np.array_equal(whole, np.concatenate(parts))
        assert (whole[0].sum(), whole[-1].sum()) == (0, 5)


@pytest.mark.parametrize(
    ("features", "background", "method", "most"),
    [
        (12, 32, "shapley-exact", 131_072),
        (13, 32, "shapley-permutation", 131_072),
        (30, 32, "shapley-permutation", 131_072),
    ],
)
def test_the_plan_is_exact_as_long_as_it_fits_into_the_budget(
    features: int, background: int, method: str, most: int
) -> None:
    plan = plan_for(features, background)

    assert plan.method == method
    assert 0.95 * most < plan.coalitions * background <= most


def test_very_many_features_still_get_an_error() -> None:
    plan = plan_for(5000, 32)

    assert plan.coalitions == 2 + 2 * 2 * 4999
    assert plan.members(plan.coalitions - 2, plan.coalitions).sum(axis=1).tolist() == [4999, 5000]
