"""What the gate does with real trainings of the built-in models: their test splits are the ones that people see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelstore import GateReport
from tests.training.samples import DATA, ignore, shuffled_labels
from training.config.recipe import BUILT_IN, Recipe, load_recipe
from training.data.splits import Splits, load_splits
from training.evaluation.candidate import Candidate
from training.evaluation.gate import Champion, Policy, decide
from training.evaluation.metrics import evaluate
from training.pipeline import train_candidate

NAMES = ("cancer", "iris", "blobs")


def built_in(name: str) -> tuple[Recipe, Splits]:
    recipe = load_recipe(name, BUILT_IN)
    return recipe, load_splits(recipe.data, DATA)


def trained(recipe: Recipe, splits: Splits, seed: int = 0) -> Candidate:
    settings = recipe.training.model_copy(update={"seed": seed})
    return train_candidate(recipe.model_copy(update={"training": settings}), splits, ignore)


def judge(recipe: Recipe, candidate: Candidate, champion: Champion | None, policy: Policy = "if_better") -> GateReport:
    return decide(policy, recipe.gate, candidate.metrics["test"], candidate.skill, champion)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_shuffled_labels_are_never_promoted(name: str) -> None:
    recipe, splits = built_in(name)
    active = trained(recipe, splits).predict
    promoted = []
    for seed in range(20):
        noise = replace(
            splits, train=shuffled_labels(splits.train, seed), test=shuffled_labels(splits.test, 100 + seed)
        )
        champion = Champion(1, evaluate(active(noise.test.x), noise.test.y, noise.test.classes, "test"))
        candidate = trained(recipe, noise, seed)
        promoted += [seed for other in (None, champion) if judge(recipe, candidate, other).passed]

    assert promoted == []


@pytest.mark.parametrize("name", NAMES)
def test_an_honest_first_version_is_promoted(name: str) -> None:
    recipe, splits = built_in(name)

    assert judge(recipe, trained(recipe, splits), None).passed


@pytest.mark.parametrize(("policy", "passed"), [("if_better", False), ("always", True), ("never", False)])
def test_an_equal_model_is_promoted_only_if_the_policy_says_always(policy: Policy, *, passed: bool) -> None:
    recipe, splits = built_in("iris")
    first, again = (trained(recipe, splits) for _ in range(2))

    report = judge(recipe, again, Champion(1, first.metrics["test"]), policy)

    assert report.candidate_log_loss == report.active_log_loss
    assert report.passed is passed


def test_a_model_that_is_worse_by_five_points_is_not_promoted_however_sure_it_is() -> None:
    recipe, splits = built_in("blobs")
    candidate = trained(recipe, splits)
    good = candidate.predict(splits.test.x)
    wrong = np.arange(len(good)) % 20 == 0
    worse = np.where(wrong[:, None], good[:, ::-1], good)
    hesitant = 0.5 + 0.01 * (good - 0.5)  # as accurate as `good`, but with a worse log loss than `worse`

    measured = evaluate(worse, splits.test.y, splits.test.classes, "test")
    active = evaluate(hesitant, splits.test.y, splits.test.classes, "test")

    assert measured.accuracy == pytest.approx(active.accuracy - 0.05)
    assert measured.log_loss < active.log_loss
    report = judge(recipe, replace(candidate, metrics={"test": measured}), Champion(1, active))
    assert not report.passed
    assert report.reason.startswith("less accurate")
