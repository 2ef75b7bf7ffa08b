"""The command of a job's training."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.jobs.command import command_of, input_of
from app.jobs.records import TrainingJob, TrainingRequest
from app.jobs.store import JobStore
from app.settings import Settings
from modelstore import CardStatements, DecisionPolicy, Dialect, Feedback, FeedbackRow, Overrides, Permit
from tests.app.databases import LIMIT, add_search, searching

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
    assert input_of(job, Settings()) == b""


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
    options, features = map(json.loads, input_of(job, Settings()).splitlines())
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

    lines = [json.loads(line) for line in input_of(job, Settings()).splitlines()]
    assert option(command, "--decision") == "-"
    assert lines[1 if dataset else 0] == {"costs": [list(row) for row in costs]}
    assert len(lines) == (3 if dataset else 1)
    assert job.request.decision == request.decision


def test_a_card_is_sent_on_standard_input_after_the_decision(store: JobStore) -> None:
    card = CardStatements(owner="team", review_date=date(2027, 1, 2))
    request = TrainingRequest(model="churn", decision=DecisionPolicy(threshold=0.3), card=card)
    job = accepted(store, request)

    command = command_of(job, None, PERMIT, Settings())

    assert option(command, "--card") == "-"
    assert [json.loads(line) for line in input_of(job, Settings()).splitlines()] == [
        {"threshold": 0.3},
        {"owner": "team", "review_date": "2027-01-02"},
    ]
    assert job.request.card == card
    assert accepted(store, TrainingRequest(model="iris", card=CardStatements())).request.card is None


def test_data_set_is_read_as_it_was_inspected(store: JobStore) -> None:
    request = TrainingRequest(model="churn", dataset="churn", target="left")
    job = store.add(request, limit=LIMIT, data_sha256="ab" * 32, dialect=Dialect(decimal=",", header=False))

    command = command_of(store.get(job.id), Path("churn.csv"), PERMIT, Settings())

    assert json.loads(option(command, "--dialect")) == {"decimal": ",", "header": False}


def test_only_a_search_gets_the_address_of_the_database_and_not_as_an_argument(store: JobStore) -> None:
    shared = Settings(database_url="postgresql+psycopg://tabserve:secret@db/jobs")
    search = accepted(store, TrainingRequest(model="iris", overrides=Overrides(search=5)))
    plain = accepted(store, TrainingRequest(model="cancer", overrides=Overrides(search=0)))

    command = command_of(search, None, PERMIT, shared)

    assert option(command, "--database") == "-"
    assert not any("postgresql" in part for part in command)
    assert input_of(search, shared) == b"postgresql+psycopg://tabserve:secret@db/jobs\n"
    assert "--database" not in [*command_of(plain, None, PERMIT, shared), *command_of(search, None, PERMIT, Settings())]
    assert input_of(plain, shared) == input_of(search, Settings()) == b""


def test_workers_share_the_search_of_a_recipe_in_the_database(store: JobStore) -> None:
    shared = Settings(database_url="postgresql+psycopg://tabserve:secret@db/jobs")
    job = accepted(store, TrainingRequest(model="iris", workers=2))

    assert option(command_of(job, None, PERMIT, shared), "--database") == "-"
    assert input_of(job, shared) == b"postgresql+psycopg://tabserve:secret@db/jobs\n"


def test_rows_of_feedback_are_sent_on_standard_input_before_the_options(store: JobStore) -> None:
    said: dict[str, Any] = {"target": "left", "task": "classification", "include_feedback": True}
    request = TrainingRequest(model="churn", dataset="churn", **said)
    job = accepted(store, request)
    row = FeedbackRow(version=1, time_s=5, values={"a": 1.5, "b": None}, label="yes")

    command = command_of(job, Path("churn.csv"), PERMIT, Settings())

    assert option(command, "--feedback") == "-"
    feedback, options = input_of(job, Settings(), Feedback(rows=(row,))).splitlines()
    assert Feedback.model_validate_json(feedback).rows == (row,)
    assert json.loads(options) == {"task": "classification"}
    assert job.request.include_feedback
    without = request.model_copy(update={"include_feedback": False})
    assert "include_feedback" not in without.document()  # so that requests of older releases keep their digests


def test_search_job_only_tries_settings_for_its_training_in_the_same_study(store: JobStore) -> None:
    shared = Settings(database_url="postgresql+psycopg://tabserve:secret@db/jobs")
    training, (search,) = add_search(store, 2)

    own, other = (command_of(job, None, PERMIT, shared) for job in (training, search))

    assert "--only-search" in other
    assert "--only-search" not in own
    assert option(own, "--overrides") == option(other, "--overrides")
    assert option(own, "--database") == option(other, "--database") == "-"
    assert input_of(search, shared) == input_of(training, shared)
    assert search.request == training.request == searching(2)
    assert "workers" not in searching(1).document()  # so that requests of older releases keep their digests
