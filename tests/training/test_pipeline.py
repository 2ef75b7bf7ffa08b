from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelstore import Activation, Dialect, EpochMetrics, JobResult, ModelRepository, Notice, Permit
from modelstore.dialect import USUAL
from tests.training.samples import DATA, clouds, draw_nothing, recipe, run, shuffled_labels, valued, write_csv
from training.artifact.onnx.write import answers_of
from training.artifact.torchscript import load
from training.config.recipe import BUILT_IN, Recipe, load_recipe
from training.config.run import TrainingRun
from training.data.columns import Column
from training.data.dataset import Dataset
from training.evaluation import plots
from training.pipeline import train


@pytest.fixture
def folder(tmp_path: Path, undrawn: None) -> Path:
    write_csv(tmp_path / "data", clouds(200, features=3))
    return tmp_path


def repository(folder: Path) -> ModelRepository:
    return ModelRepository(folder / "models")


@dataclass(frozen=True)
class Trained:
    """The first training of a model, as a job with its permit: what it reported, its result and its store."""

    events: list[EpochMetrics | Notice]
    result: JobResult
    store: ModelRepository


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    write_csv(folder / "data", clouds(200, features=3))
    permit = Permit("j7", repository(folder).permit("clouds", "j7"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        draw_nothing(monkeypatch)
        return Trained(*run(recipe(epochs=30), folder, job="j7", permit=permit), repository(folder))


def test_a_training_is_a_notice_its_epochs_and_a_result(trained: Trained) -> None:
    events = trained.events

    assert isinstance(events[0], Notice)
    assert "training CloudNet 3-8-1 on 150 rows, 50 test rows held out, 30 epochs" in events[0].message
    assert [event.epoch for event in events if isinstance(event, EpochMetrics)] == list(range(1, 31))


def test_the_first_version_of_a_job_with_its_permit_is_published_whole_and_active(trained: Trained) -> None:
    result, found = trained.result, trained.store.find("clouds", 1)
    manifest = found.manifest()
    assert (result.reason, result.version, result.activated) == ("succeeded", 1, True)
    assert trained.store.active("clouds") == 1
    assert manifest.metrics == result.metrics
    assert manifest.background is not None
    assert sum(manifest.background.weights) == pytest.approx(1)
    assert (manifest.gate, manifest.lineage.job, manifest.lineage.parent) == (result.gate, "j7", None)
    assert {path.name for path in found.path.iterdir()} == {
        "model.pt", "model.onnx", "manifest.json", "history.jsonl", "test_predictions.csv", "training_rows.bin",
        "loss.png", "confusion.png", "reliability.png", "abstaining.png", "thresholds.png", "importance.png",
        "partial_dependence.png", "partial_dependence.json", "reliability.json",
    }  # fmt: skip


def test_how_a_file_was_read_is_said_and_kept(folder: Path) -> None:
    file = folder / "data" / "clouds.csv"
    file.write_text(file.read_text().replace(",", ";").replace(".", ",") + "Total;;;\n")

    events, _ = run(recipe(epochs=1), folder)

    dialect = Dialect(delimiter=";", decimal=",", skip_footer=1).or_else(USUAL)
    said = [event.message for event in events if isinstance(event, Notice) and event.level == "info"]
    assert said[0] == 'clouds.csv: read with delimiter=";", decimal=",", skip_footer=1'
    assert repository(folder).find("clouds", 1).manifest().lineage.dialects == {"clouds.csv": dialect}


def test_the_published_bytes_answer_the_golden_rows(trained: Trained) -> None:
    found = trained.store.find("clouds", 1)
    manifest = found.manifest()

    answers = load(found.model_bytes(manifest))(np.array(manifest.golden.features))

    np.testing.assert_allclose(answers, manifest.golden.outputs, atol=manifest.golden.tolerance)
    onnx = found.onnx_bytes(manifest)
    assert onnx is not None
    answers = answers_of(onnx, np.array(manifest.golden.features, dtype=np.float32))
    np.testing.assert_allclose(answers, manifest.golden.outputs, atol=manifest.golden.tolerance)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics_and_golden_answers(folder: Path) -> None:
    for _ in range(2):
        run(recipe(batch_size=16, dropout=0.2, validation_fraction=0.2, patience=5), folder)

    first, second = (repository(folder).find("clouds", version).manifest() for version in (1, 2))
    assert first.metrics == second.metrics
    assert first.golden == second.golden
    assert first.onnx == second.onnx is not None


@pytest.mark.slow
def test_f3_a_training_on_800_columns_publishes_what_can_be_read(tmp_path: Path) -> None:
    """F3: its manifest had 18 MB, more than any reader takes, and yet it was active."""
    write_csv(tmp_path / "data", clouds(300, features=800))

    _, result = run(recipe(epochs=2), tmp_path)

    found = repository(tmp_path).find("clouds", 1)
    assert (result.reason, result.activated) == ("succeeded", True)
    assert len(found.verify().features) == 800
    assert len(found.manifest_bytes()) < 2 << 20


def test_a_better_candidate_replaces_the_active_version(two_versions: Path) -> None:
    repository(two_versions).activate("clouds", 1)

    _, result = run(recipe(epochs=60), two_versions)

    assert result.activated
    assert result.gate is not None
    assert result.gate.active_version == 1
    assert repository(two_versions).active("clouds") == 3
    assert repository(two_versions).find("clouds", 3).manifest().lineage.parent == 1


def test_a_worse_candidate_is_published_but_not_active(two_versions: Path) -> None:
    _, result = run(recipe(epochs=2), two_versions)

    assert (result.reason, result.version, result.activated) == ("succeeded", 3, False)
    assert "published but not active" in result.detail
    assert repository(two_versions).active("clouds") == 2


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_shuffled_labels_never_become_active(two_versions: Path, seed: int) -> None:
    write_csv(two_versions / "data", shuffled_labels(clouds(200, features=3), seed))

    run(recipe(epochs=60, seed=seed), two_versions)

    assert repository(two_versions).active("clouds") == 2


@pytest.mark.slow
def test_if_better_live_makes_a_shadow_of_what_has_skill_and_activates_a_first_version(folder: Path) -> None:
    _, first = run(recipe(), folder, policy="if_better_live")
    assert first.activated

    _, second = run(recipe(epochs=2), folder, policy="if_better_live")

    assert second.gate is not None
    assert (second.version, second.activated, second.gate.passed, second.gate.shadow) == (2, False, False, True)
    assert "clouds version 2 is the shadow of the active version" in second.detail
    assert (repository(folder).active("clouds"), repository(folder).shadow("clouds")) == (1, 2)
    assert repository(folder).find("clouds", 2).manifest().gate == second.gate

    write_csv(folder / "data", shuffled_labels(clouds(200, features=3), 0))
    _, weak = run(recipe(epochs=2), folder, policy="if_better_live")
    assert repository(folder).shadow("clouds") == 2
    assert weak.gate is not None
    assert weak.gate.shadow is None


@pytest.mark.slow
def test_never_publishes_without_activating(folder: Path) -> None:
    _, result = run(recipe(), folder, policy="never")

    assert (result.version, result.activated) == (1, False)
    assert repository(folder).active("clouds") is None


@pytest.mark.slow
def test_warnings_are_in_the_result_and_in_the_manifest(folder: Path) -> None:
    """They were events only, which nobody sees who asks later."""
    write_csv(
        folder / "data",
        broken(x=np.hstack([clouds(200).x, np.ones((200, 1))]), columns=(Column("x0"), Column("x1"), Column("flat"))),
    )

    events, result = run(recipe(), folder)

    warned = [event.message for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert any("column 'flat': left out (constant)" in warning for warning in warned)
    assert result.warnings == tuple(warned)
    assert repository(folder).find("clouds", 1).manifest().warnings == result.warnings


def test_warnings_are_in_the_result_of_a_training_that_failed(folder: Path) -> None:
    with_constant = np.hstack([clouds(200).x, np.ones((200, 1))])
    write_csv(
        folder / "data", shuffled_labels(broken(x=with_constant, columns=(Column("x0"), Column("x1"), Column("flat"))))
    )

    _, result = run(recipe(lr=1e6, optimizer="sgd"), folder)

    assert result.reason == "diverged"
    assert "column 'flat': left out (constant)" in result.warnings[0]


@pytest.mark.slow
def test_first_training_that_the_gate_refuses_says_what_services_answer_with(folder: Path) -> None:
    """It is "not active", and yet a service answers with it."""
    write_csv(folder / "data", shuffled_labels(clouds(200, features=3)))

    _, result = run(recipe(), folder)

    assert (result.version, result.activated) == (1, False)
    assert result.warnings[0].startswith("no version of the model is active; until one is, services answer with")
    assert repository(folder).find("clouds", 1).manifest().gate == result.gate

    _, better = run(recipe(), folder, policy="always")
    assert not [warning for warning in better.warnings if "no version" in warning]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_diverging_training_publishes_nothing(folder: Path, optimizer: str) -> None:
    write_csv(folder / "data", shuffled_labels(clouds(200)))

    _, result = run(recipe(lr=1e6, optimizer=optimizer), folder)

    assert (result.reason, result.version) == ("diverged", None)
    assert "try a learning rate ten times smaller" in result.detail
    assert repository(folder).names() == ()


def broken(cell: float | None = None, **changes: Any) -> Dataset:
    dataset = clouds(200)
    if cell is not None:
        dataset.x[6, 1] = cell
    return Dataset(**{**vars(dataset), **changes})


@pytest.mark.parametrize(
    ("dataset", "place"),
    [
        (broken(np.inf), "clouds.csv, line 8, column 'x1': expected a finite number"),
        (broken(x=np.ones((200, 2))), "expected at least one column to learn from"),
        (broken(y=np.zeros(200, dtype=np.int64)), "clouds.csv, column 'cloud': expected at least two classes"),
        (clouds(8), "clouds.csv, column 'cloud': expected at least two classes, got none"),
    ],
    ids=["Inf", "constant", "single class", "too few rows"],
)
def test_bad_data_is_named_and_nothing_is_published(folder: Path, dataset: Dataset, place: str) -> None:
    write_csv(folder / "data", dataset)

    _, result = run(recipe(), folder)

    assert (result.reason, result.version) == ("bad_data", None)
    assert place in result.detail
    assert repository(folder).names() == ()


def test_a_missing_column_is_named_and_nothing_is_published(folder: Path) -> None:
    file = folder / "data" / "clouds.csv"
    file.write_text(file.read_text().replace("x2,cloud", "x2,kind", 1))

    _, result = run(recipe(), folder)

    assert result.reason == "bad_data"
    assert "column 'cloud': expected this column, got 'x0', 'x1', 'x2', 'kind'" in result.detail
    assert repository(folder).names() == ()


def test_what_stops_it_before_publishing_leaves_nothing(folder: Path) -> None:
    class Stop(BaseException):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        run(recipe(), folder, before_publishing=stop)

    assert repository(folder).names() == ()


def test_a_store_that_cannot_be_written_is_a_result(folder: Path) -> None:
    (folder / "models").write_text("a file where the folder should be")

    _, result = run(recipe(), folder)

    assert (result.reason, result.version) == ("failed", None)
    assert "cannot write model 'clouds'" in result.detail


@pytest.mark.slow
def test_a_version_that_cannot_be_activated_is_still_named(two_versions: Path) -> None:
    (two_versions / "models" / "clouds" / ".ACTIVE.new").mkdir()  # lies where the store writes aside

    _, result = run(recipe(), two_versions, policy="always")

    assert (result.reason, result.version, result.activated) == ("failed", 3, False)
    assert "clouds version 3 is published but could not be activated" in result.detail
    assert repository(two_versions).active("clouds") == 2


def test_an_unexpected_error_is_a_result_and_a_traceback_in_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def surprise() -> None:
        raise ZeroDivisionError("a mistake of ours")

    with caplog.at_level(logging.ERROR):
        _, result = run(recipe(), folder, before_publishing=surprise)

    assert (result.reason, result.detail) == ("failed", "ZeroDivisionError: a mistake of ours")
    assert "Traceback" in caplog.text


def test_caller_that_cannot_take_an_event_gets_its_own_error_and_nothing_is_published(folder: Path) -> None:
    def report(_event: EpochMetrics | Notice) -> None:
        raise BrokenPipeError("nobody reads")

    with pytest.raises(BrokenPipeError):
        train(TrainingRun(recipe=recipe(), data_dir=folder / "data", repository=repository(folder)), report)

    assert repository(folder).names() == ()


@pytest.mark.slow
def test_a_job_whose_permit_was_taken_back_publishes_nothing(folder: Path) -> None:
    store = repository(folder)
    permit = Permit("j1", store.permit("clouds", "j1"))

    _, result = run(recipe(), folder, job="j1", permit=permit, before_publishing=lambda: store.revoke("clouds", "j1"))

    assert (result.reason, result.version) == ("interrupted", None)
    assert result.detail == "job j1 may not publish clouds any more: its permit was taken back"
    assert store.versions("clouds") == ()


@pytest.mark.slow
def test_old_versions_go_but_the_active_one_and_the_one_before_it_stay(two_versions: Path) -> None:
    for _ in range(2):
        run(recipe(epochs=2), two_versions, policy="never")

    events, result = run(recipe(epochs=2), two_versions, policy="never", keep=1)

    assert (result.reason, result.version) == ("succeeded", 5)
    assert repository(two_versions).versions("clouds") == (1, 2, 5)  # 2 is active, 1 was before it
    assert events[-1] == Notice(message="clouds: removed versions 3, 4; the newest 1 are kept")


def test_f6_a_picture_that_cannot_be_drawn_is_a_notice_and_the_version_is_published(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("ParseFatalException: $0_$100")

    monkeypatch.setattr(plots, "confusion_matrix", broken)

    events, result = run(recipe(epochs=5), folder)

    assert (result.reason, result.version) == ("succeeded", 1)
    assert "confusion.png could not be made and is left out: ValueError: ParseFatalException: $0_$100" in [
        event.message for event in events if isinstance(event, Notice) and event.level == "warning"
    ]
    names = {path.name for path in repository(folder).find("clouds", 1).path.iterdir()}
    assert names == {
        "model.pt",
        "model.onnx",
        "manifest.json",
        "history.jsonl",
        "test_predictions.csv",
        "training_rows.bin",
        "loss.png",
        "reliability.png",
        "reliability.json",
        "abstaining.png",
        "thresholds.png",
        "importance.png",
        "partial_dependence.png",
        "partial_dependence.json",
    }


@pytest.mark.slow
def test_f6_classes_and_columns_with_dollars_and_values_near_the_largest_are_trained_with_all_pictures(
    tmp_path: Path,
) -> None:
    data = clouds(200)
    data = replace(
        data,
        classes=("$0_$100", "$"),
        columns=(Column("cost_$_per_$_unit"), Column("[/red]")),
        x=data.x * np.float32(3e37),
    )
    write_csv(tmp_path / "data", data)

    events, result = run(recipe(epochs=5), tmp_path)

    assert result.reason == "succeeded", result.detail
    assert not [event for event in events if isinstance(event, Notice) and "left out" in event.message]
    pictures = {path.name for path in repository(tmp_path).find("clouds", 1).path.glob("*.png")}
    of_columns = {"importance.png", "partial_dependence.png"}
    assert (
        pictures
        == {"loss.png", "confusion.png", "reliability.png", "abstaining.png", "thresholds.png", "boundary.png"}
        | of_columns
    )


# Regressions


@pytest.fixture
def diabetes(tmp_path: Path) -> Recipe:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "diabetes.csv").write_bytes((DATA / "diabetes.csv").read_bytes())
    return load_recipe("diabetes", BUILT_IN)


@pytest.mark.usefixtures("undrawn")
def test_a_regression_is_published_whole_and_active(diabetes: Recipe, tmp_path: Path) -> None:
    events, result = run(diabetes, tmp_path)

    found = repository(tmp_path).find("diabetes", 1)
    manifest = found.manifest()
    assert isinstance(events[0], Notice)
    assert "training DiabetesNet 10-32-1 on 353 rows, 89 test rows held out, 60 epochs" in events[0].message
    assert (result.reason, result.version, result.activated) == ("succeeded", 1, True)
    assert (manifest.task, manifest.classes, manifest.outputs) == ("regression", (), 1)
    assert manifest.target is not None
    assert manifest.target.name == "progression"
    assert manifest.target.distribution is not None
    assert manifest.target.distribution.max == 346
    assert valued(manifest.metrics["test"]).rmse < 53  # ridge: 53.8
    assert set(manifest.baselines) == {"knn", "ridge", "gradient_boosting", "mean"}
    assert {path.name for path in found.path.glob("*.png")} == {
        "loss.png", "predicted.png", "residuals.png", "importance.png", "partial_dependence.png"
    }  # fmt: skip
    assert manifest.importance is not None
    assert (manifest.importance.figure, set(manifest.importance.columns)) == ("rmse", set(manifest.feature_names))
    answers = load(found.model_bytes(manifest))(np.array(manifest.golden.features, dtype=np.float32))
    np.testing.assert_allclose(answers, np.array(manifest.golden.outputs), atol=manifest.golden.tolerance)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_regression_that_is_no_better_is_not_activated(diabetes: Recipe, tmp_path: Path) -> None:
    run(diabetes, tmp_path)

    _, again = run(diabetes, tmp_path)

    assert (again.version, again.activated) == (2, False)
    assert again.gate is not None
    assert again.gate.candidate_rmse == again.gate.active_rmse
    assert "RMSE is not lower" in again.detail


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_an_active_version_of_another_quantity_is_kept(diabetes: Recipe, tmp_path: Path) -> None:
    features = ("age", "bmi", "bp")
    policies: tuple[tuple[str, Activation], ...] = (("s6", "always"), ("progression", "if_better"))
    for target, policy in policies:
        source = diabetes.data.model_copy(update={"features": features, "target": target})
        _, result = run(diabetes.model_copy(update={"data": source}), tmp_path, policy=policy)

    assert (result.version, result.activated) == (2, False)
    assert "or another target" in result.detail
