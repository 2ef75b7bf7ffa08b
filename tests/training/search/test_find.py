from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelstore import Feedback, FeedbackRow, ModelRepository, Notice, Target
from modelstore.search import Search
from tests.training.samples import clouds, collect, recipe, run, shuffled_labels, write_csv
from training.config.recipe import Recipe
from training.data.splits import Splits, load_splits
from training.errors import Diverged
from training.search.find import find_settings

SPLITS = Splits(clouds(60, spread=2.0), clouds(20), {"clouds.csv": "0" * 64}, (), Target(name="cloud"))


def found(folder: Path, splits: Splits = SPLITS, **training: Any) -> tuple[list[str], Recipe, Search]:
    fields = {"epochs": 3, "batch_size": 20, "search": 4, **training}
    events, (best, search) = collect(
        lambda report: find_settings(recipe(**fields), splits, folder / "searches.sqlite", report)
    )
    return [event.message for event in events if isinstance(event, Notice)], best, search


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], Recipe, Search]:
    folder = tmp_path_factory.mktemp("four")
    return folder, *found(folder)


Four = tuple[Path, list[str], Recipe, Search]


@pytest.mark.slow
def test_the_best_settings_are_kept_and_every_one_is_shown(four: Four) -> None:
    _, messages, best, search = four

    losses = [trial.loss for trial in search.trials]
    assert len(losses) == 4
    assert losses[search.best] == min(loss for loss in losses if loss is not None)
    assert losses[search.best] <= losses[0]  # type: ignore[operator]
    assert search.trials[0].settings == {}
    drawn = best.training.model_dump(mode="json")
    assert drawn | search.trials[search.best].settings == drawn
    assert (best.training.search, best.training.epochs) == (0, 3)
    assert messages[0] == "search: 4 settings, each judged by 5 folds of 60 rows"
    assert [message.split(",")[0] for message in messages[1:-1]] == [f"search: {n} of 4" for n in (1, 2, 3, 4)]


@pytest.mark.slow
def test_what_was_tried_before_is_not_tried_again(four: Four) -> None:
    folder, _, _, first = four

    messages, _, more = found(folder, search=5)
    _, _, other = found(folder, seed=1, search=2)

    assert messages[0] == "search: 5 settings, 4 of which are known, each judged by 5 folds of 60 rows"
    assert more.trials[:4] == first.trials
    assert other.trials != first.trials[:2]


@pytest.mark.slow
def test_more_rows_of_feedback_judge_anew(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(60, spread=2.0))
    rows = tuple(
        FeedbackRow(values={"x0": float(place), "x1": -1.0}, label="cloud 1", version=1, time_s=1)
        for place in range(20)
    )
    few, more = (
        load_splits(recipe().data, tmp_path, feedback=Feedback(rows=rows[:until])) for until in (10, len(rows))
    )

    _, _, first = found(tmp_path, few, search=1)
    again, _, _ = found(tmp_path, few, search=1)
    anew, _, second = found(tmp_path, more, search=1)

    assert ["1 of which are known" in messages[0] for messages in (again, anew)] == [True, False]
    assert first.trials[0].loss != second.trials[0].loss


@pytest.mark.slow
def test_a_budget_bounds_the_number_of_settings_by_their_planned_cost(tmp_path: Path) -> None:
    # at once, which no plan can know
    stopped: dict[str, Any] = {"epochs": 10_000, "patience": 1, "validation_fraction": 0.2}

    messages, _, search = found(tmp_path, search=50, budget_s=40.0, **stopped)

    assert 2 <= len(search.trials) < 10
    assert messages[-2] == f"search: ends after {len(search.trials)} settings: budget_s = 40 allows no more"


@pytest.mark.slow
def test_networks_planned_by_seconds_get_equal_shares_of_the_budget(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"hidden": (64, 32), "lr": 0.003, "epochs": 100, "batch_size": 0}

    _, best, search = found(tmp_path, learner="realmlp", search=2, budget_s=3.3, **fields)

    assert best.training.budget_s == pytest.approx(1.1)
    assert len(search.trials) == 2


def test_settings_of_which_none_can_be_trained_fail_as_the_training_would(tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        found(tmp_path, lr=1e9, search=1, epochs=50)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_searched_version_keeps_the_trials_and_is_reproduced_by_its_recipe(tmp_path: Path) -> None:
    write_csv(tmp_path / "data", shuffled_labels(clouds(80)))

    _, result = run(recipe(epochs=2, batch_size=20, search=2), tmp_path)

    assert result.version == 1, result.detail
    manifest = ModelRepository(tmp_path / "models").find("clouds", 1).manifest()
    assert manifest.search
    assert len(manifest.search.trials) == 2
    training = manifest.lineage.recipe["training"]
    assert isinstance(training, dict)
    assert training["search"] == 0
    assert training | manifest.search.trials[manifest.search.best].settings == training
