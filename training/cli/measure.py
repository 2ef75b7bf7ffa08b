"""The measuring commands `evaluate`, `compare` and `reproduce`, without their options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from modelstore import Dialect, Manifest, ModelRepository, ModelVersion
from training.artifact import torchscript
from training.artifact.features import columns_of, suits, translate
from training.artifact.reproduce import data_folder, dialects_of, reproduce
from training.artifact.seen_rows import find_unseen
from training.cli.progress import fold_bar, reporter
from training.cli.report import print_comparison, print_cross_validation, print_evaluation, split_title
from training.config.recipe import Recipe, parse_recipe
from training.config.run import DataPlaces
from training.data.dataset import Dataset
from training.data.holdout import Latest
from training.data.splits import Splits, load_splits
from training.errors import DatasetError
from training.evaluation.cross_validation import LONG, cross_validate, folds_for
from training.evaluation.scores import summarise
from training.evaluation.task import measure
from training.learners.budget import default_budget_s
from training.threads import use_one_thread


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

    Without a version it is the active one, or else the newest; `data` is the data file, if it is elsewhere. Rows that
    the version was trained on are left out where the data are no longer those of its training.

    Raises:
        StoreError: if there is no such version, or it is broken.
        TrainingError: if its data cannot be read, or the version has no answers to them.
    """
    use_one_thread()
    found = _find(repository, name, version)
    manifest = found.manifest()
    origin = _lineage(found, manifest, places, data)
    splits, file = origin.load(), origin.recipe.data.file
    _require_answers(found, manifest, splits, file)
    changes = tuple(_changes(manifest, splits))
    for change in changes:
        _warn(console, change)
    test = _leave_out_seen(console, found, splits.test, file) if changes else splits.test
    predict = translate(torchscript.load(found.model_bytes(manifest)), test.columns, columns_of(manifest.features))
    print_evaluation(console, measure(predict, test, "test", manifest.decision), split_title(found, manifest))
    if changes:
        console.print("\nwhen it was trained:")
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

    `data` is the data file, if it is elsewhere or has another name.

    Raises:
        StoreError: if there is no such version, or it is broken.
        TrainingError: if its data cannot be read or has changed, or the training diverges.
    """
    use_one_thread()
    found = repository.find(name, version)
    manifest = found.manifest()
    with reporter(console, json_lines=False) as view:
        folder = _lineage(found, manifest, places, data).folder
        outcome = reproduce(found, folder, view.show, data.name if data else None)
    if not outcome.differing:
        console.print(f"{name} version {version}: all {outcome.weights} weights are the same bits", highlight=False)
        return True
    stopped = manifest.lineage.stopped
    cause = "its training was ended early" if stopped else "another processor rounds otherwise"
    console.print(
        f"{name} version {version}: {outcome.differing} of {outcome.weights} weights differ, "
        f"by {outcome.largest_difference:.3g} at most; {cause}",
        highlight=False,
        soft_wrap=True,
    )
    return False


class Origin(NamedTuple):
    """What is trained or measured: a recipe, the folder of its data, and how its files are written, if it is known."""

    recipe: Recipe
    folder: Path
    dialects: Mapping[str, Dialect] | None = None

    def load(self) -> Splits:
        """Read the data.

        Raises:
            DatasetError: if it cannot be used.
        """
        return load_splits(self.recipe.data, self.folder, self.recipe.training, self.dialects)


def find_origin(repository: ModelRepository, places: DataPlaces, name: str, data: Path | None) -> Origin:
    """Return the recipe in the lineage of a model's active or newest version, with its data as that version read it.

    Raises:
        StoreError: if there is no version of the model, or it is broken.
        TrainingError: if its data is not found.
    """
    found = _find(repository, name, None)
    return _lineage(found, found.manifest(), places, data)


def report_comparison(console: Console, origin: Origin, fold_seed: int) -> None:
    """Cross-validate a recipe and the baselines on the training split, and print the table.

    Raises:
        TrainingError: if the data cannot be used, or a training diverges.
    """
    use_one_thread()
    recipe, splits = origin.recipe, origin.load()
    learner, rows = recipe.training.learner, len(splits.train)
    folds = folds_for(recipe, splits, fold_seed)
    if learner in LONG:
        budget_s = recipe.training.budget_s or default_budget_s(rows)
        cost = f"{learner} is trained {len(folds)} times, for at most about {budget_s:.0f} s each"
        console.print(cost, highlight=False, soft_wrap=True)
    scores = []
    with fold_bar(console, len(folds)) as bar:
        for score in cross_validate(recipe, splits, folds, bar.show):
            scores.append(score)
            if score.method == learner:
                bar.advance(score)
    in_time = ", each fitted to the rows before it" if isinstance(splits.way, Latest) else ""
    title = (
        f"{recipe.model}: {len(folds)}-fold cross-validation on {rows} training rows{in_time}, mean ± std over folds"
    )
    print_cross_validation(console, summarise(scores), title)


def _find(repository: ModelRepository, name: str, version: int | None) -> ModelVersion:
    """Return a version; by default the active one, or else the newest."""
    if version is None:
        version = repository.active(name) or max(repository.versions(name), default=1)
    return repository.find(name, version)


def _lineage(found: ModelVersion, manifest: Manifest, places: DataPlaces, data: Path | None) -> Origin:
    """Return the recipe of a version with its data file, which `data` replaces.

    Raises:
        DatasetError: if no folder has the file.
    """
    recipe = parse_recipe(manifest.lineage.recipe, f"manifest of {found.name} {found.version}")
    if data is not None:
        if not data.is_file():
            raise DatasetError(data.name, f"no such file in {data.parent}")
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"file": data.name})})
        return Origin(recipe, data.parent, dialects_of(manifest, recipe.data, data.parent))
    folder = data_folder(recipe.data, manifest.lineage.data_sha256, places.data, places.datasets)
    if not (folder / recipe.data.file).is_file():
        problem = f"it is not in {places.data}, nor unchanged in {places.datasets}; name it with --data FILE"
        raise DatasetError(recipe.data.file, problem)
    return Origin(recipe, folder, dialects_of(manifest, recipe.data, folder))


def _require_answers(found: ModelVersion, manifest: Manifest, splits: Splits, file: str) -> None:
    """Refuse data to whose rows a version has no answers.

    Raises:
        DatasetError.
    """
    if not suits(manifest, splits.test, splits.target.name):
        problem = f"expected the columns, the target and the classes of version {found.version}, got others"
        raise DatasetError(file, f"{problem}; is this its data file?")
    if not manifest.takes_missing and np.isnan(splits.test.x).any():
        raise DatasetError(file, f"version {found.version} cannot answer rows with missing values")


def _changes(manifest: Manifest, splits: Splits) -> Iterator[str]:
    """Yield why test rows may be others than those of a version's training."""
    if set(splits.sha256.values()) != set(manifest.lineage.data_sha256.values()):
        yield "the data files have changed since this version was trained"
    if feedback := manifest.lineage.feedback:
        yield f"rows of feedback ({feedback.describe()}) are not kept; the test rows are those of the file alone"


def _leave_out_seen(console: Console, found: ModelVersion, test: Dataset, file: str) -> Dataset:
    """Return the test rows that a version was not trained on, and say if these are not all of them.

    Raises:
        DatasetError: if it was trained on all of them.
    """
    unseen = find_unseen(found, test)
    if unseen is None:
        _warn(console, "on which rows this version was trained is unknown, so it may have seen some of these")
        return test
    if not len(unseen):
        raise DatasetError(file, f"version {found.version} was trained on every test row; add rows to it")
    if len(unseen) < len(test):
        _warn(console, f"figures are those of the {len(unseen)} of {len(test)} test rows that it was not trained on")
    return test.rows(unseen)


def _warn(console: Console, sentence: str) -> None:
    console.print(f"warning: {sentence}", highlight=False, soft_wrap=True)
