"""Which learners are tried."""

from __future__ import annotations

from tests.training.samples import clouds
from training.config.learner_settings import TrainingSettings
from training.learners.auto.members import candidates_for


def test_the_linear_model_is_always_tried_first() -> None:
    names = [candidate.name for candidate in candidates_for(clouds(100), TrainingSettings(learner="auto"))]

    assert names[0] == "linear"
    assert len(set(names)) == len(names) > 1
