"""Which learners are tried."""

from __future__ import annotations

from tests.training.samples import clouds
from training.config.learner_settings import TrainingSettings
from training.learners.auto.members import candidates_for
from training.learners.budget import Deadline


def test_the_linear_model_is_always_tried_first() -> None:
    found = candidates_for(clouds(100), TrainingSettings(learner="auto"), Deadline(60))
    names = [candidate.name for candidate in found]

    assert names[0] == "linear"
    assert len(set(names)) == len(names) > 1
