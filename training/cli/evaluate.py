"""Commands that measure versions: evaluate, reproduce, compare.

It must not import torch or scikit-learn; `measure.py` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelstore import ModelRepository, ModelVersion, compare_versions
from training.cli import fit as fitting
from training.cli.options import (
    DATA,
    DATASETS,
    MODELS,
    DataDir,
    DatasetsDir,
    KeyFile,
    ModelsDir,
    Name,
    RecipeName,
    RecipesDir,
    Version,
    console,
    failures_in_one_line,
    store,
)
from training.cli.report import print_two_versions
from training.config.recipe import BUILT_IN, load_recipe, recipe_names
from training.config.run import DataPlaces
from training.errors import RecipeError
from training.lazy import load_module

DataFile = Annotated[Path | None, typer.Option("--data", metavar="FILE", help="Data file, if it was moved.")]


def install(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(evaluate)
    app.command()(reproduce)
    app.command()(compare)


def evaluate(
    name: Name,
    version: Annotated[int | None, typer.Argument(help="Published version; default: the active one.")] = None,
    *,
    data_file: DataFile = None,
    models_dir: ModelsDir = MODELS,
    key_file: KeyFile = None,
    data_dir: DataDir = DATA,
    datasets_dir: DatasetsDir = DATASETS,
) -> None:
    """Measure a stored version on its test split."""
    with failures_in_one_line():
        places = DataPlaces(data_dir, datasets_dir)
        repository = store(models_dir, key_file)
        load_module("cli.measure").report_version(console(), repository, places, name, version, data=data_file)


def reproduce(
    name: Name,
    version: Version,
    *,
    data_file: DataFile = None,
    models_dir: ModelsDir = MODELS,
    key_file: KeyFile = None,
    data_dir: DataDir = DATA,
    datasets_dir: DatasetsDir = DATASETS,
) -> None:
    """Train a stored version again and compare the weights; nothing is published."""
    with failures_in_one_line():
        places = DataPlaces(data_dir, datasets_dir)
        same: bool = load_module("cli.measure").report_reproduction(
            console(), store(models_dir, key_file), places, name, version, data=data_file
        )
        raise typer.Exit(fitting.SUCCEEDED if same else fitting.FAILED)


def compare(
    name: Name,
    versions: Annotated[list[int] | None, typer.Argument(help="Two published versions.")] = None,
    *,
    recipe: RecipeName = None,
    fold_seed: Annotated[int, typer.Option(min=0, help="Seed of the folds.")] = 0,
    data_file: DataFile = None,
    models_dir: ModelsDir = MODELS,
    key_file: KeyFile = None,
    data_dir: DataDir = DATA,
    datasets_dir: DatasetsDir = DATASETS,
    recipes_dir: RecipesDir = BUILT_IN,
) -> None:
    """Compare two versions on their test rows; without versions, cross-validate the model beside simple classifiers."""
    with failures_in_one_line():
        repository = store(models_dir, key_file)
        has_recipe = recipe or name in recipe_names(recipes_dir)
        if data_file and (versions or has_recipe):
            raise RecipeError("--data", "", "a model without a recipe, and no versions beside it", str(data_file))
        if versions:
            print_two_versions(console(), compare_versions(*_two(repository, name, versions)))
            return
        measure = load_module("cli.measure")
        if has_recipe or not repository.versions(name):
            origin = measure.Origin(load_recipe(recipe or name, recipes_dir), data_dir)
        else:
            origin = measure.find_origin(repository, DataPlaces(data_dir, datasets_dir), name, data_file)
        measure.report_comparison(console(), origin, fold_seed)


def _two(repository: ModelRepository, name: str, versions: list[int]) -> tuple[ModelVersion, ModelVersion]:
    if len(versions) != 2:
        raise RecipeError("versions", "", "two of them, as in: compare iris 3 7", versions)
    first, second = (repository.find(name, version) for version in versions)
    return first, second
