from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from modelstore import InvalidName, ModelRepository, UnknownModel, UnknownVersion
from tests.training.samples import clouds, recipe, write_csv
from training.cli.measure import report_comparison, report_reproduction, report_version
from training.config.run import DataPlaces


@pytest.fixture
def folder(two_versions: Path) -> Path:
    return two_versions


def places(folder: Path) -> DataPlaces:
    return DataPlaces(folder / "data", folder / "datasets")


def report(folder: Path, version: int | None, name: str = "clouds") -> str:
    console = Console(file=io.StringIO(), width=120)
    report_version(console, ModelRepository(folder / "models"), places(folder), name, version)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("asked", "shown"), [(None, 2), (1, 1), (2, 2)])
def test_a_stored_version_is_measured_anew(folder: Path, asked: int | None, shown: int) -> None:
    stored = ModelRepository(folder / "models").find("clouds", shown).manifest().metrics["test"]

    text = report(folder, asked)

    assert f"clouds version {shown}, test split: accuracy {stored.accuracy:.4f}, log loss {stored.log_loss:.4f}" in text
    assert "warning" not in text


def test_changed_data_is_said_so(folder: Path) -> None:
    write_csv(folder / "data", clouds(200, features=3, seed=1))

    assert "the data files have changed" in report(folder, None)


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
def test_a_comparison_shows_every_method(folder: Path) -> None:
    console = Console(file=io.StringIO(), width=120)

    report_comparison(console, recipe(epochs=2), folder / "data", fold_seed=0)

    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "10-fold cross-validation on 150 training rows" in text
    assert all(name in text for name in ("CloudNet", "knn", "logistic_regression", "majority", "mlp_classifier"))
