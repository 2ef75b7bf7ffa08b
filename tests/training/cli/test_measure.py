from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from modelstore import Dialect, InvalidName, ModelRepository, UnknownModel, UnknownVersion
from tests.training.samples import classified, clouds, recipe, write_csv
from training.cli.measure import Origin, find_origin, report_comparison, report_reproduction, report_version
from training.config.run import DataPlaces
from training.data.splits import load_splits
from training.errors import DatasetError


@pytest.fixture
def folder(two_versions: Path) -> Path:
    return two_versions


def places(folder: Path) -> DataPlaces:
    return DataPlaces(folder / "data", folder / "datasets")


def report(folder: Path, version: int | None, name: str = "clouds", data: Path | None = None) -> str:
    console = Console(file=io.StringIO(), width=120)
    report_version(console, ModelRepository(folder / "models"), places(folder), name, version, data=data)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("asked", "shown"), [(None, 2), (1, 1), (2, 2)])
def test_a_stored_version_is_measured_anew(folder: Path, asked: int | None, shown: int) -> None:
    stored = classified(ModelRepository(folder / "models").find("clouds", shown).manifest().metrics["test"])

    text = report(folder, asked)

    assert f"clouds version {shown}, test split: accuracy {stored.accuracy:.4f}, log loss {stored.log_loss:.4f}" in text
    assert "warning" not in text


def test_the_data_is_read_as_it_was_read_for_the_training(folder: Path) -> None:
    manifest = folder / "models" / "clouds" / "2" / "manifest.json"
    usual = report(folder, 2)
    manifest.write_text(manifest.read_text().replace('"skip_footer": 0', '"skip_footer": 90'))

    assert report(folder, 2) != usual


def test_changed_data_is_said_so(folder: Path) -> None:
    write_csv(folder / "data", clouds(200, features=3, seed=1))

    text = report(folder, None)

    assert "the data files have changed" in text
    assert "rows that it was not trained on" not in text
    assert text.index("test split: accuracy") < text.index("when it was trained:") < text.index("this model")


def test_columns_in_another_order_change_no_figure(folder: Path) -> None:
    usual, rows = report(folder, None), clouds(200, features=3)
    write_csv(folder / "data", replace(rows, x=rows.x[:, ::-1], columns=rows.columns[::-1]))

    text = report(folder, None)

    assert "the data files have changed" in text
    assert text[text.index("clouds version 2") :].startswith(usual[usual.index("clouds version 2") :].split("\n")[0])


@pytest.mark.parametrize("other", [{"features": 4}, {"features": 2}, {"features": 3, "classes": 3}], ids=str)
def test_data_with_other_columns_or_classes_are_refused(other: dict[str, int], folder: Path) -> None:
    write_csv(folder / "data", clouds(200, **other))

    with pytest.raises(DatasetError, match="expected the columns, the target and the classes of version 2, got others"):
        report(folder, None)


def test_rows_that_the_version_was_trained_on_are_left_out_of_changed_data(folder: Path) -> None:
    rows = clouds(200, features=3)
    learnt = load_splits(recipe().data, folder / "data").train.lines - 2
    write_csv(folder / "data", rows.rows(slice(100)))

    assert re.search(r"warning: figures are those of the \d+ of 25 test rows that it was not", report(folder, None))

    write_csv(folder / "data", rows.rows(learnt))
    with pytest.raises(DatasetError, match="version 2 was trained on every test row; add rows to it"):
        report(folder, None)


def test_data_that_was_moved_can_be_named(folder: Path) -> None:
    (folder / "data" / "clouds.csv").rename(folder / "moved.csv")
    with pytest.raises(DatasetError, match=r"clouds\.csv: it is not in .*; name it with --data FILE"):
        report(folder, None)

    text = report(folder, None, data=folder / "moved.csv")

    assert "clouds version 2, test split: accuracy" in text
    assert "warning" not in text
    with pytest.raises(DatasetError, match=r"^lost\.csv: no such file in [^;]*$"):
        report(folder, None, data=folder / "lost.csv")


def test_recipe_of_a_model_without_one_comes_from_its_lineage_and_its_data_from_the_service(folder: Path) -> None:
    repository = ModelRepository(folder / "models")
    (sha256,) = repository.find("clouds", 2).manifest().lineage.data_sha256.values()
    home = folder / "datasets" / "clouds" / sha256
    home.mkdir(parents=True)
    (folder / "data" / "clouds.csv").rename(home / "clouds.csv")

    chosen, data_dir, dialects = find_origin(repository, places(folder), "clouds", None)

    assert (chosen.model, chosen.data.target, data_dir) == ("clouds", "cloud", home)
    assert dialects == repository.find("clouds", 2).manifest().lineage.dialects
    assert chosen.training.epochs == repository.find("clouds", 2).manifest().lineage.recipe["training"]["epochs"]  # type: ignore[index]


def test_unknown_names_and_versions_are_refused(folder: Path) -> None:
    with pytest.raises(UnknownModel):
        report(folder, None, "titanic")
    with pytest.raises(UnknownVersion):
        report(folder, 9)
    with pytest.raises(InvalidName):
        report(folder, 0)


def test_a_reproduction_says_that_the_weights_are_the_same(folder: Path) -> None:
    console = Console(file=io.StringIO(), width=120)

    same = report_reproduction(console, ModelRepository(folder / "models"), places(folder), "clouds", 1)

    assert same
    assert isinstance(console.file, io.StringIO)
    assert "clouds version 1: all 47 weights are the same bits" in console.file.getvalue()


@pytest.mark.slow
def test_a_comparison_reads_the_file_as_the_version_did_and_shows_every_method(folder: Path) -> None:
    dialect = Dialect(skip_footer=90)
    console = Console(file=io.StringIO(), width=120)

    report_comparison(console, Origin(recipe(epochs=2), folder / "data", {"clouds.csv": dialect}), fold_seed=0)

    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "10-fold cross-validation on 82 training rows" in text
    assert "fold 10: mlp, accuracy" in text
    assert all(name in text for name in ("mlp ", "knn", "logistic_regression", "majority", "mlp_classifier"))
