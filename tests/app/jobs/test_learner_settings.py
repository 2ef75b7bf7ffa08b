"""Settings of a training request, checked before any job is written."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidInput
from app.jobs.learner_settings import check_settings
from app.jobs.records import TrainingRequest

IMAGE = {"height": 3, "width": 8}


@pytest.mark.parametrize(
    ("overrides", "field", "problem"),
    [
        ({"learner": "trees", "dropout": 0.5}, "overrides.dropout", "'dropout' is for mlp"),
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


def test_what_is_maximised_needs_rows_that_the_model_has_not_seen() -> None:
    fields = {"model": "clouds", "dataset": "clouds", "decision": {"maximise": "f1"}}
    request = TrainingRequest.model_validate(fields)

    check_settings(request, "auto")  # it has folds
    with pytest.raises(InvalidInput) as caught:
        check_settings(request, "mlp")

    assert caught.value.problems[0].feature == "decision.maximise"
