"""Which learners are tried."""

from __future__ import annotations

from tests.training.samples import clouds
from training.config.learner_settings import TrainingSettings
from training.learners.auto.members import propose_members
from training.learners.budget import TimeLimit


def test_the_linear_model_is_always_tried_first() -> None:
    found = propose_members(clouds(100), TrainingSettings(learner="auto"), TimeLimit(60))
    names = [proposal.name for proposal in found]

    assert names[0] == "linear"
    assert len(set(names)) == len(names) > 1
