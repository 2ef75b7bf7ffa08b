"""The choice of a learner."""

from __future__ import annotations

from typing import get_args

import pytest

from modelstore.overrides import Image, LearnerName
from training.config.learner_settings import TrainingSettings
from training.learners.choice import learner_for


@pytest.mark.parametrize("name", get_args(LearnerName))
def test_every_name_has_its_learner(name: LearnerName) -> None:
    image = Image(height=8, width=8) if name == "cnn" else None

    assert name in type(learner_for(TrainingSettings(learner=name, image=image))).__name__.lower()
