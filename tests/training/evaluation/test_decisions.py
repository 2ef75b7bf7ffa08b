from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV

from modelstore import AbstainPolicy, Decision, DecisionPolicy, ModelRepository, Notice
from modelstore.trust import Maximised
from tests.training.samples import classified, clouds, ignore, recipe, run, write_csv
from training.config.learner_settings import TrainingSettings
from training.config.recipe import Recipe, parse_recipe
from training.errors import RecipeError
from training.evaluation.decisions import (
    MOST_ROWS,
    choose_decision,
    choose_labels,
    figure_of,
    maximise,
    require_fitting,
    threshold_of,
)
from training.learners.choice import learner_for
from training.learners.protocol import Fitted, HeldOut, predictor

Case = tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.int64]]]


def drawn(rows: int, *, classes: int = 2, seed: int = 0) -> Case:
    """Return probabilities of classes, each half as frequent as the one before, and classes drawn with them."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(1.5 / 2.0 ** np.arange(classes), rows)
    y = (probabilities.cumsum(axis=1) < generator.random((rows, 1))).sum(axis=1).clip(max=classes - 1)
    return probabilities, y


def deciding(policy: dict[str, Any], **changes: Any) -> Recipe:
    return parse_recipe({**recipe(**changes).model_dump(mode="json"), "decision": policy}, "clouds.toml")


def test_without_a_decision_the_most_probable_class_is_chosen() -> None:
    probabilities, _ = drawn(50, classes=3)

    assert np.array_equal(choose_labels(probabilities, None), probabilities.argmax(axis=1))


def test_a_threshold_is_the_least_probability_of_the_second_class_in_the_precision_of_the_answers() -> None:
    probabilities = np.array([[0.7, 0.3], [0.71, 0.29], [0.1, 0.9]], dtype=np.float32)

    assert choose_labels(probabilities, Decision(threshold=0.3)).tolist() == [1, 0, 1]


def test_costs_choose_the_class_of_the_least_expected_cost() -> None:
    probabilities, _ = drawn(500, classes=3)
    costs = ((0, 1, 5), (3, 0, 1), (20, 2, -1))

    chosen = choose_labels(probabilities, Decision(costs=costs))

    by_hand = [min(range(3), key=lambda k: sum(row[j] * costs[j][k] for j in range(3))) for row in probabilities]
    assert chosen.tolist() == by_hand
    assert np.array_equal(
        choose_labels(probabilities, Decision(costs=((0, 1, 1), (1, 0, 1), (1, 1, 0)))), probabilities.argmax(axis=1)
    )


@pytest.mark.parametrize(
    ("costs", "expected"), [(((0, 1), (9, 0)), 0.1), (((-5, 2), (3, -4)), 0.5), (((0, -1), (0, 0)), None)]
)
def test_costs_of_two_classes_have_a_threshold(costs: tuple[tuple[float, ...], ...], expected: float | None) -> None:
    decision = Decision(costs=costs)
    second = np.linspace(0, 1, 1001)

    assert threshold_of(decision) == (expected and pytest.approx(expected))
    if expected:
        chosen = choose_labels(np.column_stack((1 - second, second)), decision)
        assert second[chosen == 1].min() == pytest.approx(expected, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["f1", "balanced_accuracy"])
def test_the_threshold_is_as_good_as_any(figure: Maximised) -> None:
    probabilities, y = drawn(3000)

    found = maximise(figure, HeldOut(probabilities, y))

    score = metrics.f1_score if figure == "f1" else metrics.balanced_accuracy_score
    best = max(score(y, probabilities[:, 1] >= threshold) for threshold in np.linspace(0.01, 0.99, 99))
    assert (found.maximise, found.rows) == (figure, 3000)
    assert found.threshold is not None
    assert score(y, probabilities[:, 1] >= found.threshold) >= best - 1e-3
    if figure == "balanced_accuracy":  # of true probabilities, it is the share of the class
        assert found.threshold == pytest.approx(y.mean(), abs=0.06)


@pytest.mark.parametrize("figure", ["f1", "balanced_accuracy"])
def test_of_several_classes_the_costs_of_missing_one_are_chosen(figure: Maximised) -> None:
    probabilities, y = drawn(600, classes=3)
    found = maximise(figure, HeldOut(probabilities, y))
    chosen = choose_labels(probabilities, found)

    average = {"average": "macro"} if figure == "f1" else {}
    score = metrics.f1_score if figure == "f1" else metrics.balanced_accuracy_score
    assert figure_of(figure, chosen, y, 3) == pytest.approx(score(y, chosen, **average))
    grid = np.geomspace(0.1, 10, 9)
    rivals = ((probabilities * (1, *weights)).argmax(axis=1) for weights in itertools.product(grid, grid))
    assert score(y, chosen, **average) >= max(score(y, rival, **average) for rival in rivals) - 0.01


def test_a_class_without_rows_and_choices_does_not_count_in_the_mean_f1() -> None:
    y = np.array([0, 1, 0, 1])

    assert figure_of("f1", y, y, 3) == 1
    assert figure_of("f1", np.array([0, 1, 0, 2]), y, 3) == pytest.approx((1 + 2 / 3 + 0) / 3)


@pytest.mark.parametrize("classes", [2, 3])
def test_where_no_other_choice_is_better_the_most_probable_class_stays(classes: int) -> None:
    y = np.arange(60) % classes
    probabilities = np.where(np.eye(classes, dtype=bool)[y], 0.9, 0.1 / (classes - 1))

    found = maximise("balanced_accuracy", HeldOut(probabilities, y))

    if classes == 2:
        assert found.threshold == 0.5
    else:
        assert found.costs == tuple(map(tuple, (1.0 - np.eye(3)).tolist()))


def test_a_rare_class_is_found() -> None:
    generator = np.random.default_rng(0)
    second = np.where(generator.random(20_000) < 0.02, 0.3, 0.002)
    y = (generator.random(20_000) < second).astype(np.int64)

    found = maximise("f1", HeldOut(np.column_stack((1 - second, second)), y))

    assert found.threshold is not None
    assert 0.002 < found.threshold <= 0.3


@pytest.mark.parametrize(
    ("policy", "classes", "expected"),
    [
        ({"threshold": 0.3}, 3, "costs or maximise, as a threshold is for two classes and there are 3"),
        ({"costs": ((0.0, 1.0), (5.0, 0.0))}, 3, "costs of 3 rows and columns, one a class, and not of 2"),
        ({"maximise": "f1"}, 0, "none, as a regression has no classes"),
        ({"maximise": "f1"}, 3, None),
        ({"threshold": 0.3}, 2, None),
    ],
)
def test_a_policy_must_fit_the_classes(policy: dict[str, Any], classes: int, expected: str | None) -> None:
    names, asked = (
        clouds(classes=3).classes[:classes],
        recipe().model_copy(update={"decision": DecisionPolicy(**policy)}),
    )
    if expected is None:
        require_fitting(asked, names)
        return
    with pytest.raises(RecipeError, match=expected):
        require_fitting(asked, names)


@pytest.mark.slow
def test_costs_of_5_to_1_cost_no_more_than_a_threshold_that_scikit_learn_tunes() -> None:
    """A missed second class costs 5, a false alarm 1; the class is rare, and its cloud is wider than a line divides."""
    decision, ours, tuned = Decision(costs=((0, 1), (5, 0))), 0.0, 0.0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        y = (draw.random(6000) < 0.25).astype(np.int64)
        x = draw.standard_normal((6000, 4)) * (1 + 0.5 * y[:, None]) + y[:, None] * (1.2, 0.6, 0, 0)
        train = replace(clouds(1000, features=4), x=x.astype(np.float32)[:1000], y=y[:1000])
        module = learner_for(TrainingSettings(learner="linear")).fit(train, None, ignore).module
        ours += cost(choose_labels(predictor(module)(x[1000:].astype(np.float32)), decision), y[1000:])
        scorer = metrics.make_scorer(lambda truth, chosen: -cost(chosen, truth))
        rival = TunedThresholdClassifierCV(LogisticRegression(), scoring=scorer, cv=5).fit(x[:1000], y[:1000])
        tuned += cost(rival.predict(x[1000:]), y[1000:])

    assert ours <= 1.03 * tuned


def cost(chosen: Any, y: Any) -> float:
    """Return the mean cost of chosen classes (N,), of which missing the second costs 5 and a false alarm 1."""
    return float(np.where(y == 1, 5 * (chosen == 0), chosen == 1).mean())


def test_a_policy_to_abstain_must_fit_the_classes() -> None:
    asked = recipe().model_copy(update={"abstain": AbstainPolicy(wider=5, confidence=0.9)})

    require_fitting(asked, ())
    with pytest.raises(RecipeError, match=r"abstain: expected below, confidence or out_of_range, .* wider"):
        require_fitting(asked, ("no", "yes"))


def test_few_rows_are_a_warning_and_none_an_error() -> None:
    events: list[Any] = []
    wanted = deciding({"maximise": "f1"}, validation_fraction=0.2)
    fitted = Fitted(module=None, held_out=HeldOut(*drawn(40)))  # type: ignore[arg-type]

    found = choose_decision(wanted, fitted, events.append)

    assert found is not None
    said, warned = (event for event in events if isinstance(event, Notice))
    assert said.message.startswith("decision: f1 0.")
    assert warned.level == "warning"
    with pytest.raises(RecipeError, match="validation_fraction: expected more than 0"):
        choose_decision(wanted, Fitted(module=None), events.append)  # type: ignore[arg-type]


def test_the_rows_that_are_said_to_choose_are_those_that_did() -> None:
    events: list[Any] = []
    fitted = Fitted(module=None, held_out=HeldOut(*drawn(MOST_ROWS + 1000)))  # type: ignore[arg-type]

    found = choose_decision(deciding({"maximise": "f1"}, validation_fraction=0.2), fitted, events.append)

    assert found is not None
    assert found.rows == MOST_ROWS
    assert f"on the {MOST_ROWS} rows that chose" in events[0].message


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("policy", [{"maximise": "f1"}, {"costs": [[0, 1], [20, 0]]}], ids=["maximise", "costs"])
def test_a_version_is_published_with_its_decision_which_its_figures_follow(
    policy: dict[str, Any], tmp_path: Path
) -> None:
    write_csv(tmp_path / "data", clouds(400, spread=6.0))
    wanted = deciding(policy, validation_fraction=0.2)

    _, result = run(wanted, tmp_path, policy="always")
    found = ModelRepository(tmp_path / "models").find("clouds", 1)
    manifest = found.manifest()

    assert result.reason == "succeeded", result.detail
    assert manifest.decision is not None
    assert manifest.decision.maximise == policy.get("maximise")
    assert manifest.lineage.recipe["decision"]
    test = classified(manifest.metrics["test"])
    chosen = [line.split(",")[2] for line in (found.path / "test_predictions.csv").read_text().splitlines()[1:]]
    assert [chosen.count(name) for name in test.per_class] == np.array(test.confusion).sum(axis=0).tolist()
    if "costs" in policy:
        assert manifest.decision.costs == ((0.0, 1.0), (20.0, 0.0))
        assert test.per_class["cloud 1"].recall > 0.9 > test.accuracy
