from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from modelstore.overrides import RealMLPSettings, TreesSettings
from tests.training.samples import clouds, ignore, settings, shuffled_labels, slope
from training.config.learner_settings import TrainingSettings
from training.data.holdout import Grouped, Latest, Shuffled
from training.errors import Diverged
from training.search.judge import Judge


def test_settings_that_learn_have_the_smaller_loss() -> None:
    judge = Judge(clouds(60), Shuffled(), seed=0)

    losses = [judge.judge(settings(epochs=epochs), ignore) for epochs in (1, 30)]

    assert losses[1] < 0.2 < losses[0]
    assert judge.judge(settings(), ignore) == losses[1]
    assert judge.describe() == "5 folds of 60 rows"


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"learner": "trees", "trees": TreesSettings(leaf_rows=5)},
        pytest.param(
            {"learner": "realmlp", "budget_s": 1.0, "realmlp": RealMLPSettings(hidden=(16,))}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_regression_is_judged_by_its_rmse(fields: dict[str, Any]) -> None:
    rows = slope(200)

    loss = Judge(rows, Shuffled(), seed=0).judge(TrainingSettings(**fields), ignore)

    assert 0.5 < loss < 0.8 * rows.y.std()  # the noise has deviation 1


@pytest.mark.slow
def test_rows_of_a_group_are_judged_by_models_that_have_not_seen_the_group() -> None:
    rows = shuffled_labels(clouds(100))
    rows.x[:, 0] = np.arange(100) // 4
    rows.y[:] = np.random.default_rng(0).integers(0, 2, 25)[np.arange(100) // 4]  # known to who knows the group
    learner = TrainingSettings(learner="trees", trees=TreesSettings(leaf_rows=2, leaves=30))

    judges = Judge(Grouped("x0").mark(rows), Grouped("x0"), 0), Judge(rows, Shuffled(), 0)
    together, apart = (judge.judge(learner, ignore) for judge in judges)

    assert apart + 0.2 < together  # they cannot know the class of an unseen group


def test_in_time_the_latest_rows_judge() -> None:
    judge = Judge(clouds(100), Latest("x0"), seed=0)

    assert (judge.trainings, judge.describe()) == (1, "15 validation rows")


def test_a_loss_that_is_not_finite_is_no_loss() -> None:
    with pytest.raises(Diverged):
        Judge(slope(60), Shuffled(), seed=0).judge(settings(lr=1e9, epochs=50), ignore)
