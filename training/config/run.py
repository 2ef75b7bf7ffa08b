"""The settings of one training run, read from the command line without importing torch."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelstore import Activation, Feedback, ModelRepository, Overrides, Permit, SigningKey
from training.config.options import make_record, read_object
from training.config.recipe import Recipe, load_recipe
from training.errors import RecipeError, WrongModel

SEARCHES_FILE = "searches.sqlite"


@dataclass(frozen=True)
class Folders:
    """Paths of the model store, the data, the recipes and, if versions are signed, the key file."""

    models: Path
    data: Path
    recipes: Path
    signing_key: Path | None = None

    def repository(self) -> ModelRepository:
        """Return the model store.

        Raises:
            InvalidKey: if there is a key file that cannot be used.
        """
        return ModelRepository(self.models, SigningKey.read(self.signing_key) if self.signing_key else None)


@dataclass(frozen=True)
class DataPlaces:
    """The two folders that may hold a version's data: built-in files, and data sets sent to the service."""

    data: Path
    datasets: Path


@dataclass(frozen=True)
class TrainingRun:
    """A recipe to train and the store to publish it in.

    Attributes:
        recipe: the recipe with all overrides applied.
        data_dir: folder of the data files.
        repository: the store in which the version is published.
        policy: when the version becomes the active one.
        job: id of the job, if a service started the training.
        permit: the job's permit to publish; a person needs none.
        keep: how many versions of the model to keep afterwards; None keeps all.
        database: URL of the PostgreSQL database of searches; None is a file beside the models.
        feedback: rows of feedback to train on beside the data; None for none.
        only_search: whether to try settings of the search alone, and publish nothing.
        pictures: whether the version gets its plots.
        before_publishing: called once, just before publication, from when on it is too late to cancel; may raise to
            stop the training.
        should_end: whether to end the search or the training soon, and publish what it has learnt by then.
        search_ended: called when the search is over, with which a request to end it is, too: the training runs in full.
    """

    recipe: Recipe
    data_dir: Path
    repository: ModelRepository
    policy: Activation = "if_better"
    job: str | None = None
    permit: Permit | None = None
    keep: int | None = None
    database: str | None = None
    feedback: Feedback | None = None
    only_search: bool = False
    pictures: bool = True
    before_publishing: Callable[[], None] = lambda: None
    should_end: Callable[[], bool] = lambda: False
    search_ended: Callable[[], None] = lambda: None

    @property
    def studies(self) -> str | Path:
        """Return where settings that searches have tried are kept."""
        return self.database or self.repository.root / SEARCHES_FILE


def recipe_for(model: str, recipe: str | None, overrides: Overrides, folder: Path) -> Recipe:
    """Return the recipe that trains a model, or the variant with the name of `recipe`, overrides applied.

    Raises:
        UnknownRecipe, RecipeError, WrongModel.
    """
    name = recipe or model
    loaded = load_recipe(name, folder)
    if loaded.model != model:
        raise WrongModel(name, loaded.model, model)
    return loaded.with_overrides(overrides)


def read_overrides(
    document: str | None, assignments: Sequence[str], seed: int | None, search: int | None = None
) -> Overrides:
    """Return the overrides of a command line; for a field named twice, the later of these arguments wins.

    Args:
        document: a JSON object.
        assignments: `key=value` texts; a list has commas, as in `hidden=32,16` and
            `image=8,8,1`, and `hidden=` is the empty list.
        seed: the training seed.
        search: the number of settings to try.

    Raises:
        RecipeError: names the field, the expected and the actual value.
    """
    fields = read_object("--overrides", document) | dict(map(_assignment, assignments))
    single = {"seed": seed, "search": search}
    fields |= {name: value for name, value in single.items() if value is not None}
    return make_record("overrides", fields, Overrides)


def read_names(text: str) -> tuple[str, ...]:
    """Return the column names of a command line: `a,b` as CSV, or a JSON array, which allows any characters in names.

    Raises:
        RecipeError: if it is neither.
    """
    with contextlib.suppress(ValueError):  # a name may begin with a bracket
        names = json.loads(text)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return tuple(names)
    try:
        return tuple(next(csv.reader([text], strict=True), ()))
    except csv.Error as error:
        raise RecipeError("--features", "", f"A,B,C or a JSON array of names ({error})", text) from error


def _assignment(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise RecipeError("--set", "", "key=value, such as epochs=200", text)
    if key in ("hidden", "filters", "image"):
        parts = [_value(part) for part in value.split(",") if part]
        sides = ("height", "width", "channels")
        return key, dict(zip(sides, parts, strict=False)) if key == "image" and len(parts) <= len(sides) else parts
    return key, _value(value)


def _value(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
