from __future__ import annotations

import pytest

from benchmarks.quality.challenges import CHALLENGES, RECIPES, measure
from training.config.recipe import BUILT_IN, load_recipe
from training.config.run import read_overrides


@pytest.mark.parametrize("name", RECIPES)
def test_every_challenge_is_a_line_that_the_recipe_takes(name: str) -> None:
    recipe = load_recipe(name, BUILT_IN)

    changed = [recipe.with_overrides(read_overrides(None, lines, None)).training for lines in CHALLENGES.values()]

    assert len({settings.model_dump_json() for settings in changed}) == len(CHALLENGES)


def test_a_network_is_measured_on_rows_that_it_has_not_seen_once_a_seed() -> None:
    recipe = load_recipe("blobs", BUILT_IN).with_overrides(read_overrides('{"epochs": 20}', (), None))

    losses, shares = measure(recipe, (0, 1))

    assert len(losses) == len(set(losses)) == 2
    assert min(shares) > 0.9
