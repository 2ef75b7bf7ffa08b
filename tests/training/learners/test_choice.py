"""The choice of a learner."""

from __future__ import annotations

from typing import get_args

import pytest

from modelstore.overrides import LearnerName
from training.config.recipe import TrainingSettings
from training.learners.choice import learner_for


@pytest.mark.parametrize("name", get_args(LearnerName))
def test_every_name_has_its_learner(name: LearnerName) -> None:
    assert name in type(learner_for(TrainingSettings(learner=name))).__name__.lower()
