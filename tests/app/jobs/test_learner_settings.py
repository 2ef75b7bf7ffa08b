"""Settings of a training request, checked before any job is written."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.errors import InvalidInput
from app.jobs.learner_settings import check_gate, check_settings, check_task, check_with_recipe, settings_of_data
from app.jobs.records import TrainingRequest
from modelstore import Overrides, Task

IMAGE = {"height": 3, "width": 8}
AUTO, MLP = Overrides(learner="auto"), Overrides(learner="mlp")


@contextlib.contextmanager
def refused(field: str, problem: str) -> Iterator[None]:
    """Hold that what is done meanwhile is refused for this field, with a problem that says this."""
    with pytest.raises(InvalidInput) as caught:
        yield
    assert caught.value.problems[0].feature == field
    assert problem in caught.value.problems[0].problem


@pytest.mark.parametrize(
    ("overrides", "field", "problem"),
    [
        ({"learner": "trees", "dropout": 0.5}, "overrides.dropout", "'dropout' is for mlp"),
        ({"search": 20}, "overrides.search", "'search' is for mlp and realmlp and trees"),
        ({"learner": "mlp", "budget_s": 60.0}, "overrides.budget_s", "search beside budget_s"),
        ({"learner": "mlp", "patience": 3}, "overrides.patience", "a validation_fraction above 0"),
        ({"learner": "cnn"}, "overrides.image", "the height, width and channels of a row"),
        ({"learner": "cnn", "image": IMAGE}, "overrides.image", "at least 4 x 4 pixels"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(
    overrides: dict[str, Any], field: str, problem: str
) -> None:
    request = TrainingRequest.model_validate({"model": "clouds", "dataset": "clouds", "overrides": overrides})

    with refused(field, problem):
        check_settings(request, AUTO)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, "needs overrides.search"),
        ({"overrides": {"search": 0}}, "needs overrides.search"),
        ({"overrides": {"search": 9}, "include_feedback": True}, "must be 1 beside include_feedback"),
    ],
)
def test_workers_need_a_search_whose_rows_stay_the_same(more: dict[str, Any], problem: str) -> None:
    request = TrainingRequest.model_validate({"model": "clouds", "workers": 2, **more})

    with pytest.raises(InvalidInput, match=f"^workers: {problem}") as caught:
        check_settings(request, MLP)

    assert caught.value.problems[0].feature == "workers"
    check_settings(request.model_copy(update={"workers": 1}), MLP)


def test_what_is_maximised_needs_rows_that_the_model_has_not_seen() -> None:
    fields = {"model": "clouds", "dataset": "clouds", "decision": {"maximise": "f1"}}
    request = TrainingRequest.model_validate(fields)

    check_settings(request, AUTO)  # it has folds
    with pytest.raises(InvalidInput) as caught:
        check_settings(request, MLP)

    assert caught.value.problems[0].feature == "decision.maximise"


SEARCH = {"training": {"search": 9, "budget_s": 60}}
NETWORK = {"learner": "cnn", "image": IMAGE, "filters": [4]}
NO_ROWS = {"patience": 0, "validation_fraction": 0}
STOPS = {"training": {"patience": 5, "validation_fraction": 0.1}, "decision": {"maximise": "f1"}}
IMAGES = {"training": {"learner": "cnn", "image": {"height": 8, "width": 8}}, "data": {"task": "classification"}}
QUANTITY: dict[str, Any] = {"training": {}, "data": {"task": "regression"}}
BY_GATE: dict[str, Any] = {"training": {}, "data": {}, "gate": {"metric": "rmse"}}
KINDS = {"training": {}, "data": {"classes": {"0": "no", "1": "yes", "2": "perhaps"}}}


@pytest.mark.parametrize(
    ("recipe", "fields", "field", "problem"),
    [
        (QUANTITY, {"overrides": {"class_weights": "balanced"}}, "overrides.class_weights", "a regression has none"),
        (BY_GATE, {"overrides": {"class_weights": "balanced"}}, "overrides.class_weights", "a regression has none"),
        (QUANTITY, {"decision": {"maximise": "f1"}}, "decision", "must be none, as a regression has no classes"),
        (QUANTITY, {"decision": {"threshold": 0.3}}, "decision", "must be none, as a regression has no classes"),
        (QUANTITY, {"abstain": {"below": 0.5}}, "abstain", "must have out_of_range, or wider with confidence"),
        (KINDS, {"abstain": {"wider": 1, "confidence": 0.9}}, "abstain", "wider is for a quantity"),
        (KINDS, {"decision": {"threshold": 0.3}}, "decision", "a threshold is for two classes and there are 3"),
        (IMAGES, {"overrides": {"filters": [8] * 4}}, "overrides.filters", "at least 16 x 16 pixels for 4 filters"),
        (IMAGES, {"overrides": {"image": IMAGE}}, "overrides.image", "at least 4 x 4 pixels for 2 filters"),
        (SEARCH, {"overrides": {"search": 0}}, "overrides.search", "search beside budget_s"),
        (SEARCH, {"overrides": {"search": 0, "budget_s": 9}}, "overrides.budget_s", "search beside budget_s"),
        (SEARCH, {"overrides": {"learner": "trees"}, "workers": 2}, "workers", "needs overrides.search"),
        (STOPS, {"overrides": NETWORK | {"patience": 5}}, "overrides.patience", "for early stopping"),
        (STOPS, {"overrides": NETWORK}, "overrides.learner", "for a decision that maximises a figure"),
        (STOPS, {"overrides": NO_ROWS}, "overrides.validation_fraction", "for a decision that maximises a figure"),
    ],
)
def test_request_that_contradicts_its_recipe_is_refused_by_name(
    recipe: dict[str, Any], fields: dict[str, Any], field: str, problem: str
) -> None:
    request = TrainingRequest.model_validate_json(json.dumps({"model": "clouds", **fields}))

    with refused(field, problem):
        check_with_recipe(request, recipe)


@pytest.mark.parametrize(
    ("recipe", "fields"),
    [
        (SEARCH, {"overrides": {"budget_s": 9}, "workers": 2}),  # the recipe searches
        (IMAGES, {"overrides": {"filters": [8] * 3}}),
        (IMAGES, {"overrides": {"learner": "mlp", "search": 3}}),
        (STOPS, {"overrides": {"learner": "linear"}}),  # the recipe's settings are not those of another learner
        (QUANTITY, {"abstain": {"wider": 1, "confidence": 0.9}}),
        (KINDS, {"decision": {"costs": [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}, "abstain": {"below": 0.5}}),
        ({}, {"decision": {"threshold": 0.3}}),  # what is no recipe is left to the training
        ({"training": {"epochs": "x"}, "data": []}, {"overrides": {"class_weights": "balanced", "patience": 3}}),
    ],
)
def test_request_that_its_recipe_allows_is_accepted(recipe: dict[str, Any], fields: dict[str, Any]) -> None:
    check_with_recipe(TrainingRequest.model_validate_json(json.dumps({"model": "clouds", **fields})), recipe)


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        (Overrides(), AUTO),
        (Overrides(learner="trees"), Overrides(learner="trees")),
        (Overrides(epochs=9), Overrides(learner="mlp", patience=1, validation_fraction=0.01)),
    ],
)
def test_networks_of_a_data_set_stop_early_by_validation_rows(overrides: Overrides, known: Overrides) -> None:
    assert settings_of_data(overrides) == known


@pytest.mark.parametrize(("task", "classes"), [(None, None), ("classification", None), ("classification", 2)])
def test_policies_fit_a_task_of_which_nothing_else_is_known(task: Task | None, classes: int | None) -> None:
    fields = {"decision": {"threshold": 0.3}, "abstain": {"below": 0.5}, "overrides": {"class_weights": "balanced"}}
    check_task(TrainingRequest.model_validate({"model": "clouds", **fields}), task, classes)


@pytest.mark.parametrize(
    ("data", "metric", "expected"),
    [
        ({"task": "classification"}, "rmse", "must be log_loss, since its task is classification"),
        ({"task": "regression"}, "log_loss", "must be rmse, since its task is regression"),
        ({"classes": {"0": "no", "1": "yes"}}, "rmse", "must be log_loss, since its task is classification"),
        ({"target": "y", "types": {"y": "boolean"}}, "rmse", "must be log_loss, since its task is classification"),
        ({}, "auc", "must be log_loss or rmse"),
    ],
)
def test_gate_metric_of_another_task_is_refused_with_those_that_exist(
    data: dict[str, Any], metric: str, expected: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_gate({"gate": {"metric": metric}, "data": data})

    (problem,) = caught.value.problems
    assert problem.feature == "model"
    assert expected in problem.problem
    assert "the metrics are log_loss of a classification and rmse of a regression" in problem.problem


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"gate": 3, "data": {}},
        {"gate": {"metric": "rmse"}, "data": {"target": [], "types": {}}},
        {"gate": {"metric": "rmse"}, "data": {"task": "regression"}},
        {"gate": {"margin": 1}, "data": {"task": []}},
    ],
)
def test_gate_that_may_fit_is_left_to_the_training(recipe: dict[str, Any]) -> None:
    check_gate(recipe)
