"""The command of a job's training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.jobs.command import command_of, input_of
from app.jobs.records import TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from app.settings import Settings
from modelstore import DecisionPolicy, Dialect, Overrides, Permit
from tests.app.databases import LIMIT

PERMIT = Permit("f00", "secret")


def accepted(store: JobStore, request: TrainingRequest) -> TrainingJob:
    return store.add(request, limit=LIMIT)


def option(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_recipe_is_trained_with_the_overrides_and_the_permit(store: JobStore) -> None:
    job = accepted(store, TrainingRequest(model="iris", overrides=Overrides(epochs=7), activate="never"))

    command = command_of(job, None, PERMIT, Settings())

    assert command[1:5] == ["-m", "training", "fit", "iris"]
    assert json.loads(option(command, "--overrides")) == {"epochs": 7}
    assert (option(command, "--activate"), option(command, "--permit")) == ("never", "secret")
    assert "--data" not in command
    assert input_of(job) == b""


def test_options_and_names_to_learn_from_are_sent_on_standard_input(store: JobStore) -> None:
    request = TrainingRequest(
        model="churn",
        dataset="churn",
        target="left",
        features=("a,b", "c"),
        types={"c": "categorical"},
        task="classification",
    )
    job = accepted(store, request)

    command = command_of(job, Path("churn.csv"), PERMIT, Settings())

    assert (option(command, "--data"), option(command, "--target")) == ("churn.csv", "left")
    assert (option(command, "--options"), option(command, "--features")) == ("-", "-")
    options, features = map(json.loads, input_of(job).splitlines())
    assert options == {"types": {"c": "categorical"}, "task": "classification"}
    assert features == ["a,b", "c"]


@pytest.mark.parametrize("dataset", ["churn", None])
def test_a_decision_is_sent_on_standard_input_between_options_and_features(
    store: JobStore, dataset: str | None
) -> None:
    costs = tuple(tuple(float(row != column) for column in range(100)) for row in range(100))
    said: dict[str, Any] = {"target": "left", "features": ("a",), "task": "classification"} if dataset else {}
    request = TrainingRequest(model="churn", dataset=dataset, decision=DecisionPolicy(costs=costs), **said)
    job = accepted(store, request)

    command = command_of(job, Path("churn.csv") if dataset else None, PERMIT, Settings())

    lines = [json.loads(line) for line in input_of(job).splitlines()]
    assert option(command, "--decision") == "-"
    assert lines[1 if dataset else 0] == {"costs": [list(row) for row in costs]}
    assert len(lines) == (3 if dataset else 1)
    assert job.request().decision == request.decision


def test_data_set_is_read_as_it_was_inspected(store: JobStore) -> None:
    request = TrainingRequest(model="churn", dataset="churn", target="left")
    job = store.add(request, limit=LIMIT, data_sha256="ab" * 32, dialect=Dialect(decimal=",", header=False))

    command = command_of(store.get(job.id), Path("churn.csv"), PERMIT, Settings())

    assert json.loads(option(command, "--dialect")) == {"decimal": ",", "header": False}
