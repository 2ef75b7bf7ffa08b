"""Settings of a training request, checked before any job is written."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidInput
from app.jobs.learner_settings import check_gate, check_settings
from app.jobs.records import TrainingRequest

IMAGE = {"height": 3, "width": 8}


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

    with pytest.raises(InvalidInput) as caught:
        check_settings(request, "auto")

    assert caught.value.problems[0].feature == field
    assert problem in caught.value.problems[0].problem


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
        check_settings(request, "mlp")

    assert caught.value.problems[0].feature == "workers"
    check_settings(request.model_copy(update={"workers": 1}), "mlp")


def test_what_is_maximised_needs_rows_that_the_model_has_not_seen() -> None:
    fields = {"model": "clouds", "dataset": "clouds", "decision": {"maximise": "f1"}}
    request = TrainingRequest.model_validate(fields)

    check_settings(request, "auto")  # it has folds
    with pytest.raises(InvalidInput) as caught:
        check_settings(request, "mlp")

    assert caught.value.problems[0].feature == "decision.maximise"


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
