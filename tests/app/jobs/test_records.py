"""Training requests and jobs as values."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.errors import InvalidInput
from app.jobs.records import JobStatus, TrainingRequest
from modelstore import Overrides, Split
from tests.app.databases import job


def test_seed_becomes_one_of_the_overrides() -> None:
    request = TrainingRequest(model="iris", seed=7, overrides=Overrides(epochs=3)).with_seed_in_overrides()

    assert (request.seed, request.overrides) == (None, Overrides(epochs=3, seed=7))
    assert request.with_seed_in_overrides() == request


def test_seeds_that_differ_are_refused_by_name_and_equal_ones_are_one() -> None:
    same = TrainingRequest(model="iris", seed=7, overrides=Overrides(seed=7))
    assert same.with_seed_in_overrides().overrides.seed == 7

    with pytest.raises(InvalidInput) as caught:
        same.model_copy(update={"seed": 8}).with_seed_in_overrides()
    assert [problem.feature for problem in caught.value.problems] == ["seed"]


def test_equal_requests_have_equal_digests_and_others_have_not() -> None:
    request = TrainingRequest(model="iris", overrides=Overrides(hidden=(4, 2)))
    others = (
        {"model": "blobs"},
        {"dataset": "iris"},
        {"activate": "never"},
        {"overrides": Overrides(hidden=(4, 3))},
        {"timeout_s": 60.0},
        {"types": {"a": "categorical"}},
        {"task": "regression"},
    )

    assert request.digest() == TrainingRequest(model="iris", overrides=Overrides(hidden=(4, 2))).digest()
    digests = {request.model_copy(update=changes).digest() for changes in others}
    assert len({request.digest()} | digests) == 1 + len(others)


def test_document_has_the_overrides_that_were_set_and_no_column_of_the_table() -> None:
    document = TrainingRequest(model="iris", overrides=Overrides(epochs=3)).document()

    assert document["overrides"] == {"epochs": 3}
    assert not {"model", "dataset", "seed", "options"} & document.keys()


def test_document_has_the_options_of_the_data_that_were_set() -> None:
    request = TrainingRequest(model="churn", dataset="churn", target="left", split=Split(group="client"))

    assert request.document()["options"] == {"split": {"group": "client"}}


def test_rare_classes_of_a_quantity_are_a_contradiction() -> None:
    with pytest.raises(ValidationError, match="rare_classes"):
        TrainingRequest(model="m", dataset="d", target="t", task="regression", rare_classes="merge")


@pytest.mark.parametrize("status", JobStatus)
def test_job_has_ended_unless_it_is_queued_or_runs(status: JobStatus) -> None:
    assert job(status=status).ended == (status.value not in ("queued", "running"))
