from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from modelstore import ModelRepository, ValuePrediction, compare_versions, write_values
from tests.modelstore.samples import MODEL, sample_regression
from tests.training.samples import classified
from training.cli.report import (
    print_comparison,
    print_cross_validation,
    print_evaluation,
    print_recipes,
    print_two_versions,
    print_versions,
    split_title,
)
from training.config.recipe import BUILT_IN, load_recipe
from training.evaluation.scores import MethodScore, Spread


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=120)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(console: Console, start: str) -> list[str]:
    """Return the cells of the table row whose first cell is this."""
    for line in text(console).splitlines():
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if cells[0] == start:
            return cells[1:]
    raise AssertionError(f"no row {start!r} in\n{text(console)}")


@pytest.fixture
def store(two_versions: Path) -> ModelRepository:
    return ModelRepository(two_versions / "models")


def test_an_evaluation_shows_counts_and_figures(console: Console, store: ModelRepository) -> None:
    test = classified(store.find("clouds", 2).manifest().metrics["test"])

    print_evaluation(console, test, "clouds version 2")

    assert f"accuracy {test.accuracy:.4f}, log loss {test.log_loss:.4f}" in text(console)
    assert row(console, "cloud 0") == [str(count) for count in test.confusion[0]]


def test_an_evaluation_says_what_may_be_chance(console: Console, store: ModelRepository) -> None:
    test = classified(store.find("clouds", 2).manifest().metrics["test"])
    inside = test.model_copy(update={"calibration_error": 0.02, "calibration_band": (0.0, 0.03)})

    print_evaluation(console, inside, "inside")
    print_evaluation(console, inside.model_copy(update={"calibration_error": 0.04}), "outside")

    said = text(console)
    assert test.intervals
    assert f"95 % intervals: accuracy {test.intervals['accuracy'][0]:.4f} to" in said
    assert said.count("cannot be told from a calibrated one, whose error is up to 0.0300 by chance") == 1
    assert said.count("the probabilities are off, as the error of a calibrated one is at most 0.0300") == 1


def test_the_leader_board_puts_the_model_beside_knn_and_says_what_it_means(
    console: Console, store: ModelRepository
) -> None:
    manifest = store.find("clouds", 2).manifest()

    print_comparison(console, manifest)

    assert manifest.leaders
    knn = manifest.baselines["knn"]
    assert row(console, "knn")[:2] == [metric.text for metric in knn.headline]
    assert row(console, "this model")[1] == manifest.metrics["test"].decisive.text
    assert manifest.leaders.conclusion in text(console)


def test_a_version_without_a_leader_board_is_put_beside_its_baselines(console: Console, store: ModelRepository) -> None:
    manifest = store.find("clouds", 2).manifest().model_copy(update={"leaders": None})

    print_comparison(console, manifest)

    assert row(console, "knn") == [metric.text for metric in manifest.baselines["knn"].headline]


def test_a_regression_shows_its_errors_and_their_unit(console: Console, repository: ModelRepository) -> None:
    found = repository.publish(sample_regression(), MODEL)

    print_evaluation(console, found.manifest().metrics["test"], split_title(found, found.manifest()))
    print_comparison(console, found.manifest())
    print_versions(console, repository)

    title = "petals version 1, test split, errors in g"
    assert f"{title}: R2 0.7500, RMSE 2.5000, MAE 2.0000, median absolute error 1.5000" in text(console)
    assert row(console, "mean") == ["0.0000", "5.0000"]
    assert row(console, "petals")[2:4] == ["R2 0.7500, RMSE 2.5000", "8"]


def test_two_regressors_are_shown_with_their_largest_differences(console: Console, repository: ModelRepository) -> None:
    answers = ([(2, 10.0, 11.0), (3, 20.0, 20.0)], [(2, 10.0, 10.5), (3, 20.0, 26.125)])
    versions = [
        repository.publish(
            sample_regression(),
            MODEL,
            {"test_predictions.csv": write_values((line, ValuePrediction(*values)) for line, *values in rows)},
        )
        for rows in answers
    ]

    print_two_versions(console, compare_versions(*versions))

    assert "version 1 is closer to the truth in 1, version 2 in 1 (sign test: p = 1)" in " ".join(text(console).split())
    assert row(console, "3") == ["20", "20", "26.125"]


def test_the_list_marks_the_active_version_and_names_a_broken_one(console: Console, store: ModelRepository) -> None:
    (store.root / "clouds" / "1" / "manifest.json").write_text("{")

    print_versions(console, store)

    lines = [line for line in text(console).splitlines() if "clouds" in line]
    assert "broken" in lines[0]
    assert "manifest_invalid" in lines[0]
    assert "active" in lines[1]


def test_an_empty_store_says_what_to_do(console: Console, tmp_path: Path) -> None:
    print_versions(console, ModelRepository(tmp_path))

    assert "`python -m training ensure`" in text(console)


def test_recipes_show_their_settings(console: Console) -> None:
    print_recipes(console, [("cancer-tutorial", load_recipe("cancer-tutorial", BUILT_IN))])

    assert row(console, "cancer-tutorial") == ["cancer", "CancerNet", "15,15", "sgd", "0.01", "60", "128"]


def test_a_cross_validation_shows_mean_and_spread(console: Console) -> None:
    score = MethodScore("ours", {"accuracy": Spread(0.9, 0.01), "log loss": Spread(0.2, 0.02)})

    print_cross_validation(console, [score], "folds")

    assert row(console, "ours") == ["0.9000 ± 0.0100", "0.2000 ± 0.0200"]
