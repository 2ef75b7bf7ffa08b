from __future__ import annotations

import json

import optuna
import pytest

from modelstore import Task
from modelstore.overrides import LearnerName
from training.config.learner_settings import TrainingSettings
from training.search.space import draw


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("learner", ["mlp", "realmlp", "trees"])
def test_all_that_is_drawn_are_settings_of_the_learner(learner: LearnerName, task: Task) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    drawn = [draw(learner, task, study.ask()) for _ in range(40)]

    assert len({json.dumps(settings) for settings in drawn}) == 40
    for settings in drawn:
        TrainingSettings.model_validate_json(json.dumps({"learner": learner, **settings}))
