"""The measuring commands `evaluate`, `compare` and `reproduce`, without their options."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from modelstore import Manifest, ModelRepository, ModelVersion
from training.artifact import torchscript
from training.artifact.features import columns_of, translate
from training.artifact.reproduce import data_folder, dialects_of, reproduce
from training.cli.progress import reporter
from training.cli.report import print_comparison, print_cross_validation, print_evaluation, split_title
from training.config.recipe import DataSource, Recipe, parse_recipe
from training.config.run import DataPlaces
from training.data.splits import load_splits
from training.errors import DatasetError
from training.evaluation.cross_validation import FOLDS, cross_validate, methods
from training.evaluation.scores import summarise
from training.evaluation.task import measure


def report_version(
    console: Console,
    repository: ModelRepository,
    places: DataPlaces,
    name: str,
    version: int | None,
    *,
    data: Path | None = None,
) -> None:
    """Measure a stored version on the test split of its own lineage, and print the report.

    Args:
        console: receives the report.
        repository: the model store.
        places: folders to search for the data.
        name: name of the model.
        version: version to measure; None for the active one, or else the newest.
        data: the data file, if it is elsewhere or has another name.

    Raises:
        StoreError: if there is no such version, or it is broken.
        TrainingError: if its data cannot be read.
    """
    torch.set_num_threads(1)
    found = _find(repository, name, version)
    manifest = found.manifest()
    recipe, folder = _lineage(found, manifest, places, data)
    splits = load_splits(recipe.data, folder, recipe.training, dialects_of(manifest, recipe.data, folder))
    if set(splits.sha256.values()) != set(manifest.lineage.data_sha256.values()):
        console.print("warning: the data files have changed since this version was trained", highlight=False)
    test = splits.test
    predict = translate(torchscript.load(found.model_bytes(manifest)), test.columns, columns_of(manifest.features))
    print_evaluation(console, measure(predict, test, "test", manifest.decision), split_title(found, manifest))
    print_comparison(console, manifest)


def report_reproduction(
    console: Console,
    repository: ModelRepository,
    places: DataPlaces,
    name: str,
    version: int,
    *,
    data: Path | None = None,
) -> bool:
    """Train a stored version again, print the comparison, and return whether the weights are bit-identical.

    Args:
        console: receives events and the outcome.
        repository: the model store.
        places: folders to search for the data.
        name: name of the model.
        version: version to reproduce.
        data: the data file, if it is elsewhere or has another name.

    Raises:
        StoreError: if there is no such version, or it is broken.
        TrainingError: if its data cannot be read or has changed, or the training diverges.
    """
    torch.set_num_threads(1)
    found = repository.find(name, version)
    manifest = found.manifest()
    source = parse_recipe(manifest.lineage.recipe, f"manifest of {name} {version}").data
    with reporter(console, json_lines=False) as view:
        folder = _folder(manifest, source, places) if data is None else data.parent
        outcome = reproduce(found, folder, view.show, data.name if data else None)
    if not outcome.differing:
        console.print(f"{name} version {version}: all {outcome.weights} weights are the same bits", highlight=False)
        return True
    console.print(
        f"{name} version {version}: {outcome.differing} of {outcome.weights} weights differ, "
        f"by {outcome.largest_difference:.3g} at most; another processor rounds otherwise",
        highlight=False,
        soft_wrap=True,
    )
    return False


def stored_recipe(repository: ModelRepository, places: DataPlaces, name: str, data: Path | None) -> tuple[Recipe, Path]:
    """Return the recipe in the lineage of a model's active or newest version, and the folder of its data.

    Raises:
        StoreError: if there is no version of the model, or it is broken.
        TrainingError: if its data is not found.
    """
    found = _find(repository, name, None)
    return _lineage(found, found.manifest(), places, data)


def report_comparison(console: Console, recipe: Recipe, data_dir: Path, fold_seed: int) -> None:
    """Cross-validate a recipe and the baselines on the training split, and print the table.

    Raises:
        TrainingError: if the data cannot be used, or a training diverges.
    """
    torch.set_num_threads(1)
    train = load_splits(recipe.data, data_dir, recipe.training).train
    compared = len(methods(train, 0)) + 1
    running = cross_validate(recipe, train, fold_seed)
    scores = track(running, f"{FOLDS} folds, {compared} methods", FOLDS * compared, console=console)
    title = f"{recipe.model}: {FOLDS}-fold cross-validation on {len(train)} training rows, mean ± std over folds"
    print_cross_validation(console, summarise(scores), title)


def _find(repository: ModelRepository, name: str, version: int | None) -> ModelVersion:
    """Return a version; by default the active one, or else the newest."""
    if version is None:
        version = repository.active(name) or max(repository.versions(name), default=1)
    return repository.find(name, version)


def _lineage(found: ModelVersion, manifest: Manifest, places: DataPlaces, data: Path | None) -> tuple[Recipe, Path]:
    """Return the recipe of a version and the folder of its data file, which `data` replaces.

    Raises:
        DatasetError: if no folder has the file.
    """
    recipe = parse_recipe(manifest.lineage.recipe, f"manifest of {found.name} {found.version}")
    if data is not None:
        return recipe.model_copy(update={"data": recipe.data.model_copy(update={"file": data.name})}), data.parent
    folder = _folder(manifest, recipe.data, places)
    if not (folder / recipe.data.file).is_file():
        problem = f"it is not in {places.data}, nor unchanged in {places.datasets}; name it with --data FILE"
        raise DatasetError(recipe.data.file, problem)
    return recipe, folder


def _folder(manifest: Manifest, source: DataSource, places: DataPlaces) -> Path:
    return data_folder(source, manifest.lineage.data_sha256, places.data, places.datasets)
