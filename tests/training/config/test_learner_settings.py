"""The settings of a training."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from modelstore import Overrides
from modelstore.overrides import Image
from training.config.learner_settings import TrainingSettings


def test_settings_are_exactly_what_overrides_may_change() -> None:
    assert list(TrainingSettings.model_fields) == list(Overrides.model_fields)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"learner": "trees", "dropout": 0.5}, "settings of learner 'trees'.*'dropout' is for mlp"),
        ({"learner": "linear", "budget_s": 5.0}, "'budget_s' is for auto and mlp and realmlp and trees"),
        ({"learner": "auto", "search": 20}, "'search' is for mlp and realmlp and trees"),
        ({"learner": "mlp", "budget_s": 60.0}, "search beside budget_s"),
        ({"patience": 5}, "a validation_fraction above 0 for early stopping"),
        ({"learner": "cnn"}, "image, the height, width and channels of a row"),
        ({"learner": "cnn", "image": Image(height=3, width=8)}, "an image of at least 4 x 4 pixels for 2 filters"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        TrainingSettings(**fields)


def test_a_setting_of_another_learner_may_have_its_default() -> None:
    assert TrainingSettings(learner="trees", dropout=0.0).learner == "trees"


@pytest.mark.parametrize(
    ("fields", "own"),
    [({"dropout": 0.5}, True), ({"activation": "gelu"}, False), ({"batch_norm": True}, False), ({"l1": 0.01}, False)],
)
def test_only_a_plain_network_has_a_gradient_of_its_own(fields: dict[str, Any], *, own: bool) -> None:
    assert TrainingSettings(**fields).has_own_gradient is own
