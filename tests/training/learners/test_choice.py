"""The choice of a learner."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from modelstore.overrides import Image, LearnerName, TreesSettings
from tests.training.samples import clouds, ignore
from training.config.learner_settings import TrainingSettings
from training.data.holdout import Latest
from training.learners.choice import learner_for


@pytest.mark.parametrize("name", get_args(LearnerName))
def test_every_name_has_its_learner(name: LearnerName) -> None:
    image = Image(height=8, width=8) if name == "cnn" else None

    assert name in type(learner_for(TrainingSettings(learner=name, image=image))).__name__.lower()


@pytest.mark.parametrize(
    "chosen",
    [
        TrainingSettings(learner="linear"),
        TrainingSettings(learner="trees", trees=TreesSettings()),
        pytest.param(TrainingSettings(learner="realmlp", budget_s=1.0), marks=pytest.mark.slow),
        pytest.param(TrainingSettings(learner="auto", budget_s=1.0), marks=pytest.mark.slow),
    ],
    ids=lambda chosen: chosen.learner,
)
def test_learners_that_hold_rows_out_follow_the_split(chosen: TrainingSettings) -> None:
    rows = clouds(60)
    rows.x[:, 1] = np.random.default_rng(0).permutation(60)

    held_out = learner_for(chosen, Latest("x1")).fit(rows, None, ignore).held_out

    assert held_out is not None
    assert np.array_equal(held_out.y, rows.y[rows.x[:, 1] >= 51])
