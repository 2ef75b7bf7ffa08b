"""The `evaluate` and `compare` commands: measure, show progress, print; it must not know command-line options."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track

from modelstore import ModelRepository
from training import baselines, export
from training.compare import FOLDS, cross_validate
from training.datasets import load_splits
from training.evaluate import evaluate
from training.recipe import Recipe, parse_recipe
from training.report import print_comparison, print_cross_validation, print_evaluation
from training.scores import summarise


def report_version(
    console: Console, repository: ModelRepository, data_dir: Path, name: str, version: int | None
) -> None:
    """Measure a stored version on the test split that its own recipe describes, and print the report.

    Raises:
        StoreError: if there is no such version, or it is broken.
        TrainingError: if its data cannot be read.
    """
    torch.set_num_threads(1)
    chosen = repository.active(name) if version is None else version
    if chosen is None:
        chosen = max(repository.versions(name), default=1)
    found = repository.find(name, chosen)
    manifest = found.manifest()
    splits = load_splits(parse_recipe(manifest.lineage.recipe, f"manifest of {name} {chosen}").data, data_dir)
    if splits.sha256 != manifest.lineage.data_sha256:
        console.print("warning: the data files have changed since this version was trained", highlight=False)
    probabilities = export.load(found.model_bytes(manifest))(splits.test.x)
    measured = evaluate(probabilities, splits.test.y, splits.test.classes, "test")
    print_evaluation(console, measured, f"{name} version {chosen}, test split")
    print_comparison(console, manifest)


def report_comparison(console: Console, recipe: Recipe, data_dir: Path, fold_seed: int) -> None:
    """Cross-validate a recipe and the baselines on the training split, and print the table.

    Raises:
        TrainingError: if the data cannot be used, or a training diverges.
    """
    torch.set_num_threads(1)
    train = load_splits(recipe.data, data_dir).train
    methods = len(baselines.thorough(0)) + 1
    running = cross_validate(recipe, train, fold_seed)
    scores = track(running, f"{FOLDS} folds, {methods} methods", FOLDS * methods, console=console)
    title = f"{recipe.model}: {FOLDS}-fold cross-validation on {len(train)} training rows, mean ± std over folds"
    print_cross_validation(console, summarise(scores), title)
