from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from modelstore import Activation, Baseline, Evaluation, GateReport, RegressionBaseline, RegressionEvaluation
from tests.training.samples import DATA, classified, ignore, shuffled_labels
from training.config.recipe import BUILT_IN, GateRule, Recipe, load_recipe
from training.data.splits import Splits, load_splits
from training.evaluation.candidate import Candidate
from training.evaluation.gate import Champion, Contest, Skill, decide
from training.evaluation.metrics import evaluate
from training.pipeline import train_candidate

MAJORITY = Baseline(accuracy=0.6, log_loss=0.67)
SURE = Skill(0.4, 0.1, MAJORITY)
TRUTH = np.array([0] * 6 + [1] * 4)


def figures(right: int, confidence: float) -> Evaluation:
    """Return the evaluation of ten rows, six of them of class a; the first `right` ones are answered rightly."""
    wins = np.where(np.arange(10) < right, TRUTH, 1 - TRUTH)
    probabilities = np.where(np.eye(2)[wins] == 1, confidence, 1 - confidence)
    return evaluate(probabilities, TRUTH, ("a", "b"), "test")


def champion(ours: Evaluation, theirs: Evaluation, standard_error: float = 0.0, seen: int | None = 0) -> Champion:
    """Return version 3, which is measured beside a candidate on rows that it has not seen."""
    return Champion(3, Contest(ours, theirs, theirs.log_loss - ours.log_loss, standard_error, seen))


GOOD, BETTER = figures(9, 0.7), figures(9, 0.8)


def judge(
    candidate: Evaluation,
    active: Champion | None = None,
    policy: Activation = "if_better",
    *,
    skill: Skill = SURE,
    **rule: float,
) -> GateReport:
    return decide(policy, GateRule.model_validate(rule), candidate, skill, active)


def passes(
    candidate: Evaluation, active: Champion | None = None, policy: Activation = "if_better", **rule: float
) -> bool:
    return judge(candidate, active, policy, skill=SURE, **rule).passed


def test_a_first_version_passes_if_it_is_as_accurate_as_the_majority_class() -> None:
    assert passes(GOOD)
    assert passes(figures(6, 0.7))
    assert not passes(figures(5, 0.7))


def test_a_lower_log_loss_passes() -> None:
    report = judge(BETTER, champion(BETTER, GOOD))

    assert report.passed
    assert (report.active_version, report.active_log_loss) == (3, GOOD.log_loss)
    assert report.candidate_log_loss == BETTER.log_loss
    assert f"log loss {BETTER.log_loss:.4f} against {GOOD.log_loss:.4f} of version 3" in report.reason


def test_the_same_figures_do_not_pass() -> None:
    assert not passes(GOOD, champion(GOOD, GOOD))


def test_less_than_the_margin_does_not_pass() -> None:
    gain = GOOD.log_loss - BETTER.log_loss

    assert passes(BETTER, champion(BETTER, GOOD), margin=0.9 * gain)
    assert not passes(BETTER, champion(BETTER, GOOD), margin=1.1 * gain)


def test_a_difference_within_its_standard_error_does_not_pass() -> None:
    gain = GOOD.log_loss - BETTER.log_loss

    report = judge(BETTER, champion(BETTER, GOOD, standard_error=1.1 * gain), margin_errors=1.0)

    assert not report.passed
    assert f"not better by more than 1 standard errors, {gain:.4f} ± {1.1 * gain:.4f}" in report.reason
    assert passes(BETTER, champion(BETTER, GOOD, standard_error=0.9 * gain), margin_errors=1.0)


@pytest.mark.parametrize(
    ("seen", "said"),
    [(0, None), (4, "on 10 test rows that version 3 was not trained on, without 4"), (None, "is unknown")],
)
def test_the_report_says_how_many_rows_both_versions_have_never_seen(seen: int | None, said: str | None) -> None:
    report = judge(BETTER, champion(BETTER, GOOD, seen=seen))

    assert (report.rows, report.seen_rows) == (10, seen)
    assert said in report.reason if said else "trained" not in report.reason


def test_a_lower_log_loss_with_less_accuracy_does_not_pass() -> None:
    active, candidate = figures(9, 0.501), figures(8, 0.75)

    assert candidate.log_loss < active.log_loss
    assert not passes(candidate, champion(candidate, active))


def test_no_better_than_the_majority_class_never_replaces_a_version() -> None:
    assert not passes(figures(6, 0.6), champion(figures(6, 0.6), figures(2, 0.9)))


@pytest.mark.parametrize(
    "skill",
    [Skill(0.29, 0.1, MAJORITY), Skill(-0.5, 0.1, MAJORITY), Skill(0.0, 0.0, MAJORITY), Skill(0.5, math.inf, MAJORITY)],
    ids=str,
)
@pytest.mark.parametrize("active", [None, champion(GOOD, figures(2, 0.9))], ids=["first", "against a poor version"])
def test_no_surer_than_the_class_frequencies_does_not_pass(active: Champion | None, skill: Skill) -> None:
    report = judge(GOOD, active, skill=skill)

    assert not report.passed
    assert "the recipe wants 3 standard errors" in report.reason


def test_the_skill_wanted_is_the_recipes() -> None:
    assert judge(GOOD, skill=Skill(0.29, 0.1, MAJORITY), min_skill=2.0).passed


def test_a_class_below_the_recall_floor_does_not_pass() -> None:
    report = judge(GOOD, min_recall=0.8)

    assert not report.passed
    assert "recall of class 'b' is 0.750, the recipe wants 0.800" in report.reason


def test_a_broken_version_is_replaced_by_anything_sound() -> None:
    assert passes(GOOD, Champion(3, problem="is broken", broken=True))
    assert not passes(figures(5, 0.7), Champion(3, problem="is broken", broken=True))


def test_a_version_with_another_contract_is_not_replaced() -> None:
    report = judge(GOOD, Champion(3, problem="has other features or classes"))

    assert not report.passed
    assert "version 3, the active one, has other features or classes" in report.reason
    assert report.active_log_loss is None


def test_if_better_live_makes_a_shadow_of_any_candidate_with_skill_beside_a_sound_version() -> None:
    for candidate, active in ((BETTER, GOOD), (GOOD, BETTER)):
        report = judge(candidate, champion(candidate, active), "if_better_live")
        assert (report.passed, report.shadow) == (False, True)
        assert report.reason.startswith("labels must show first that it is better than version 3; ")
    assert judge(BETTER, Champion(3, problem="was trained on every test row"), "if_better_live").shadow
    for beside in (None, Champion(3, problem="is broken", broken=True)):
        report = judge(BETTER, beside, "if_better_live")
        assert (report.passed, report.shadow) == (True, None)
    for report in (
        judge(BETTER, Champion(3, problem="has other features", other=True), "if_better_live"),
        judge(figures(5, 0.7), champion(figures(5, 0.7), GOOD), "if_better_live"),
    ):
        assert (report.passed, report.shadow) == (False, None)


@pytest.mark.parametrize(("policy", "passed"), [("always", True), ("never", False)])
def test_always_and_never_do_not_look_at_the_figures(policy: Activation, *, passed: bool) -> None:
    assert passes(figures(0, 0.9), champion(figures(0, 0.9), GOOD), policy) is passed
    assert passes(BETTER, None, policy) is passed


# Regressions

MEAN = RegressionBaseline(rmse=10.0, r2=-0.01)
USEFUL = Skill(40.0, 10.0, MEAN, "mean")


def errors_of(rmse: float) -> RegressionEvaluation:
    """Return the evaluation of ten rows whose truths have a standard deviation of 10."""
    fields = {"mae": rmse / 2, "median_absolute_error": rmse / 3, "r2": 1 - rmse**2 / 100}
    return RegressionEvaluation(split="test", rows=10, rmse=rmse, **fields)


def judge_values(
    rmse: float, active: float | None = None, *, skill: Skill = USEFUL, error: float = 0.0, **rule: float
) -> GateReport:
    contest = Contest(errors_of(rmse), errors_of(active), active**2 - rmse**2, error) if active else None
    champion = Champion(3, contest) if contest else None
    return decide("if_better", GateRule.model_validate(rule), errors_of(rmse), skill, champion)


def test_a_first_regression_passes_if_it_beats_the_mean_by_three_standard_errors() -> None:
    passed = judge_values(7.0)
    refused = judge_values(7.0, skill=Skill(29.0, 10.0, MEAN, "mean"))

    assert passed.passed
    assert passed.reason == "no version is active yet, and R2 0.5100 against -0.0100 of the mean"
    assert (passed.candidate_rmse, passed.active_rmse, passed.candidate_log_loss) == (7.0, None, None)
    assert not refused.passed
    assert refused.reason == (
        "no better than the mean: mean squared error lower by 29.0000 ± 10.0000, the recipe wants 3 standard errors"
    )


def test_a_regression_replaces_a_version_with_a_larger_error_only() -> None:
    better, equal, worse = judge_values(6.0, 7.0), judge_values(7.0, 7.0), judge_values(8.0, 7.0)

    assert better.passed
    assert better.reason == "better: RMSE 6.0000 against 7.0000 of version 3, R2 0.6400 against 0.5100"
    assert (better.candidate_rmse, better.active_rmse) == (6.0, 7.0)
    assert not equal.passed
    assert not worse.passed


def test_the_margins_of_a_regression_are_in_its_unit_and_in_standard_errors() -> None:
    assert judge_values(6.0, 7.0, margin=0.9).passed
    assert not judge_values(6.0, 7.0, margin=1.1).passed
    assert judge_values(6.0, 7.0, error=12.0, margin_errors=1.0).passed  # the gain is 49 - 36
    assert not judge_values(6.0, 7.0, error=14.0, margin_errors=1.0).passed


# With real trainings of the built-in models


def built_in(name: str) -> tuple[Recipe, Splits]:
    recipe = load_recipe(name, BUILT_IN)
    return recipe, load_splits(recipe.data, DATA)


@cache
def first(name: str) -> Candidate:
    return trained(*built_in(name))


def trained(recipe: Recipe, splits: Splits, seed: int = 0) -> Candidate:
    settings = recipe.training.model_copy(update={"seed": seed})
    return train_candidate(recipe.model_copy(update={"training": settings}), splits, ignore)


def judge_trained(
    recipe: Recipe, candidate: Candidate, active: Evaluation | None, policy: Activation = "if_better"
) -> GateReport:
    measured = classified(candidate.metrics["test"])
    return decide(policy, recipe.gate, measured, candidate.skill, champion(measured, active) if active else None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seeds"), [("iris", 10), ("cancer", 3), ("blobs", 5)])
def test_shuffled_labels_are_never_promoted(name: str, seeds: int) -> None:
    recipe, splits = built_in(name)
    active = first(name).predict
    promoted = []
    for seed in range(seeds):
        noise = replace(
            splits, train=shuffled_labels(splits.train, seed), test=shuffled_labels(splits.test, 100 + seed)
        )
        old = evaluate(active(noise.test.x), noise.test.y, noise.test.classes, "test")
        candidate = trained(recipe, noise, seed)
        promoted += [seed for other in (None, old) if judge_trained(recipe, candidate, other).passed]

    assert promoted == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["iris", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cancer", "blobs"))]
)
def test_an_honest_first_version_is_promoted(name: str) -> None:
    assert judge_trained(built_in(name)[0], first(name), None).passed


@pytest.mark.slow
def test_an_equal_model_is_promoted_only_if_the_policy_says_always() -> None:
    recipe, splits = built_in("iris")
    again = trained(recipe, splits)
    policies: tuple[Activation, ...] = ("if_better", "always", "never")

    reports = [judge_trained(recipe, again, classified(first("iris").metrics["test"]), policy) for policy in policies]

    assert all(report.candidate_log_loss == report.active_log_loss for report in reports)
    assert [report.passed for report in reports] == [False, True, False]


@pytest.mark.slow
def test_a_model_that_is_worse_by_five_points_is_not_promoted_however_sure_it_is() -> None:
    recipe, splits = built_in("blobs")
    candidate = first("blobs")
    good = candidate.predict(splits.test.x)
    wrong = np.arange(len(good)) % 20 == 0
    worse = np.where(wrong[:, None], good[:, ::-1], good)
    hesitant = 0.5 + 0.01 * (good - 0.5)  # as accurate as `good`, but with a worse log loss than `worse`

    measured = evaluate(worse, splits.test.y, splits.test.classes, "test")
    active = evaluate(hesitant, splits.test.y, splits.test.classes, "test")

    assert measured.accuracy == pytest.approx(active.accuracy - 0.05)
    assert measured.log_loss < active.log_loss
    report = judge_trained(recipe, replace(candidate, metrics={"test": measured}), active)
    assert not report.passed
    assert report.reason.startswith("less accurate")
