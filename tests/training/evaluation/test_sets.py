"""Which rows are scored: a split of their own, the learner's folds, or other models' folds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from modelstore import Conformal, Notice
from tests.training.samples import clouds, collect, ignore, recipe, slope, write_csv
from training.config.recipe import parse_recipe
from training.data.dataset import Dataset
from training.data.holdout import Hashed, HoldOut, Latest
from training.data.splits import Splits, load_splits
from training.errors import DatasetError, RecipeError
from training.evaluation.sets import make_conformal
from training.learners.protocol import Fitted, HeldOut
from training.pipeline import train_candidate


class Half(nn.Module):
    """Answers that both classes are equally probable."""

    def forward(self, x: Tensor) -> Tensor:
        return 0 * x[:, :2] + 0.5


def splits_of(train: Dataset, calibration: Dataset | None = None, way: HoldOut | None = None) -> Splits:
    test = clouds(40, seed=9)
    return Splits(train, test, {}, (), target=None, way=way or Hashed(), calibration=calibration)  # type: ignore[arg-type]


def scored(fitted: Fitted, splits: Splits, **training: Any) -> Conformal | None:
    return make_conformal(fitted, recipe(**training), splits, ignore)


def test_rows_of_their_own_are_scored_by_the_published_model() -> None:
    found = scored(Fitted(Half()), splits_of(clouds(60), clouds(30, seed=1)))

    assert found is not None
    assert (found.source, found.guarantee, found.scores) == ("split", "marginal", (0.5,) * 30)
    assert found.test_coverage == {"0.8": (40, 40), "0.9": (40, 40), "0.95": (40, 40)}


def test_rows_in_time_are_not_exchangeable_so_nothing_is_guaranteed() -> None:
    found = scored(Fitted(Half()), splits_of(clouds(60), clouds(30, seed=1), Latest("x0")))

    assert found is not None
    assert (found.source, found.guarantee) == ("split", "approximate")


def test_without_a_split_the_held_out_answers_of_the_learner_are_scored() -> None:
    answers = HeldOut(np.full((60, 2), 0.5), clouds(60).y)
    whole = scored(Fitted(Half(), held_out=answers), splits_of(clouds(60)))
    part = scored(Fitted(Half(), held_out=answers), splits_of(clouds(90)))

    assert whole is not None
    assert part is not None
    assert (whole.source, whole.guarantee, whole.rows) == ("out_of_fold", "approximate", 60)
    assert (part.source, part.guarantee) == ("validation", "approximate")


def test_a_network_without_held_out_answers_is_trained_again_without_each_fold() -> None:
    found = scored(Fitted(Half()), splits_of(clouds(60)))

    assert found is not None
    assert (found.source, found.rows) == ("out_of_fold", 60)
    assert max(found.scores or ()) < 0.5  # clouds far apart are learnt


def test_where_no_rows_are_left_there_are_no_sets_and_a_policy_that_needs_them_is_refused() -> None:
    alone = replace(clouds(60), marks=np.zeros(60, dtype=np.uint64))
    events, found = collect(lambda report: make_conformal(Fitted(Half()), recipe(), splits_of(alone), report))

    assert found is None
    assert [event.message for event in events if isinstance(event, Notice)] == [
        "no rows are left to score, so there are no prediction sets"
    ]
    abstaining = parse_recipe({**recipe().model_dump(mode="json"), "abstain": {"confidence": 0.9}}, "clouds.toml")
    with pytest.raises(RecipeError, match="validation_fraction above 0"):
        make_conformal(Fitted(Half()), abstaining, splits_of(alone), ignore)


def test_a_policy_that_needs_scores_has_them_where_the_training_is_to_end_soon() -> None:
    abstaining = parse_recipe({**recipe().model_dump(mode="json"), "abstain": {"confidence": 0.9}}, "clouds.toml")
    soon = {"should_end": lambda: True}

    found = make_conformal(Fitted(Half()), abstaining, splits_of(clouds(60)), ignore, **soon)

    assert found is not None
    assert found.rows == 60
    assert make_conformal(Fitted(Half()), recipe(), splits_of(clouds(60)), ignore, **soon) is None


def test_rows_of_one_group_are_no_scores_for_other_groups_but_calibration_rows_are() -> None:
    alone = replace(clouds(60), groups=np.zeros(60, dtype=np.uint64))
    fitted = Fitted(Half(), held_out=HeldOut(np.full((60, 2), 0.5), alone.y))

    assert scored(fitted, splits_of(alone)) is None
    assert scored(fitted, splits_of(alone, clouds(30, seed=1))) is not None


def test_a_calibration_row_that_overflows_is_named_by_its_line() -> None:
    rows = clouds(30, seed=1)
    rows.x[3, 0] = math.inf

    with pytest.raises(DatasetError, match="calibration split, line 5"):
        scored(Fitted(Half()), splits_of(clouds(60), rows))


def test_a_trained_candidate_has_scores_and_intervals_of_a_quantity_too(tmp_path: Path) -> None:
    rows = slope(400)
    lines = [f"{a!r},{b!r},{y!r}" for (a, b), y in zip(rows.x.tolist(), rows.y.tolist(), strict=True)]
    (tmp_path / "clouds.csv").write_text("\n".join(["x0,x1,cloud", *lines, ""]))
    linear = recipe(data={"task": "regression"}).model_dump(mode="json") | {"training": {"learner": "linear"}}
    wanted = parse_recipe(linear, "clouds.toml")

    found = train_candidate(wanted, load_splits(wanted.data, tmp_path, wanted.training), ignore).conformal

    assert found is not None
    assert (found.score in ("absolute", "scaled"), found.rows, found.source) == (True, 300, "out_of_fold")
    hits, tested = found.test_coverage["0.9"]
    assert hits / tested == pytest.approx(0.9, abs=0.1)


def test_a_classifier_published_from_a_file_has_scores(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(80, spread=3.0))
    wanted = recipe()
    found = train_candidate(wanted, load_splits(wanted.data, tmp_path, wanted.training), ignore).conformal

    assert found is not None
    assert (found.source, found.rows) == ("out_of_fold", 60)
