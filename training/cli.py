"""The command line, `python -m training ...`: options and exit codes; it must not import torch or scikit-learn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from modelstore import InvalidName, ModelRepository, StoreError, UnknownModel, UnknownVersion
from training import fitting
from training.deferred import deferred
from training.errors import RecipeError, TrainingError, UnknownRecipe, WrongModel
from training.gate import Policy
from training.recipe import BUILT_IN, load_recipe, recipe_names
from training.report import print_recipes, print_versions
from training.runs import Folders

WRONG_USAGE = (InvalidName, RecipeError, UnknownModel, UnknownRecipe, UnknownVersion, WrongModel)

ModelsDir = Annotated[Path, typer.Option(envvar="TABSERVE_MODELS_DIR", help="Where the versions are published.")]
DataDir = Annotated[Path, typer.Option(envvar="TABSERVE_DATA_DIR", help="Where the CSV files lie.")]
RecipesDir = Annotated[Path, typer.Option(envvar="TABSERVE_RECIPES_DIR", help="Where the recipes lie.")]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
RecipeName = Annotated[str | None, typer.Option("--recipe", help="A variant, such as cancer-tutorial.")]

MODELS, DATA = Path("models"), Path("data")

app = typer.Typer(
    name="training",
    help="Train, compare and publish Tabserve's models.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def fit(
    name: Name,
    *,
    recipe: RecipeName = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="hidden=32,16 or epochs=200; repeatable.")
    ] = None,
    overrides: Annotated[str | None, typer.Option(metavar="JSON", help="The same as one JSON object.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides weights, shuffling, dropout, validation rows.")] = None,
    activate: Annotated[Policy, typer.Option(help="Whether the new version becomes the active one.")] = "if_better",
    job: Annotated[str | None, typer.Option(help="Id to note in the manifest.")] = None,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="One JSON event a line on stdout.")] = False,
    tensorboard: Annotated[Path | None, typer.Option(metavar="DIR", help="Write TensorBoard files there.")] = None,
    models_dir: ModelsDir = MODELS,
    data_dir: DataDir = DATA,
    recipes_dir: RecipesDir = BUILT_IN,
) -> None:
    """Train a model from its recipe, publish the version, and activate it if it is better."""
    request = fitting.FitRequest(
        model=name,
        folders=Folders(models_dir, data_dir, recipes_dir),
        recipe=recipe,
        assignments=assignments or (),
        overrides=overrides,
        seed=seed,
        policy=activate,
        job=job,
        json_lines=json_lines,
        tensorboard=tensorboard,
    )
    raise typer.Exit(fitting.fit(request, _console(), _errors()))


@app.command()
def ensure(models_dir: ModelsDir = MODELS, data_dir: DataDir = DATA, recipes_dir: RecipesDir = BUILT_IN) -> None:
    """Train and activate every model that has no version yet."""
    with _failures_in_one_line():
        raise typer.Exit(fitting.ensure(Folders(models_dir, data_dir, recipes_dir), _console(), _errors()))


@app.command("list")
def list_versions(models_dir: ModelsDir = MODELS) -> None:
    """Show all versions with their test figures, and which one is active."""
    with _failures_in_one_line():
        print_versions(_console(), ModelRepository(models_dir))


@app.command()
def recipes(recipes_dir: RecipesDir = BUILT_IN) -> None:
    """Show all recipes."""
    with _failures_in_one_line():
        print_recipes(_console(), [(name, load_recipe(name, recipes_dir)) for name in recipe_names(recipes_dir)])


@app.command()
def activate(
    name: Name, version: Annotated[int, typer.Argument(help="A published version.")], models_dir: ModelsDir = MODELS
) -> None:
    """Make a version the one that serves; also backwards."""
    with _failures_in_one_line():
        ModelRepository(models_dir).activate(name, version)
        _console().print(f"{name} version {version} is active", highlight=False)


@app.command()
def data(
    check: Annotated[bool, typer.Option("--check", help="Compare only, byte by byte.")] = False,
    data_dir: DataDir = DATA,
) -> None:
    """Write the built-in data files from scikit-learn's copies, or compare them."""
    sources = deferred("sources")
    with _failures_in_one_line():
        if not check:
            _console().print(f"wrote {', '.join(sources.write(data_dir))} to {data_dir}", highlight=False)
            return
        wrong = sources.differing(data_dir)
        if wrong:
            _fail(f"missing in {data_dir} or not as in scikit-learn: {', '.join(wrong)}; `training data` writes them")
        _console().print(f"the files in {data_dir} are exactly scikit-learn's", highlight=False)


@app.command()
def evaluate(
    name: Name,
    version: Annotated[int | None, typer.Argument(help="A published version; the active one if absent.")] = None,
    models_dir: ModelsDir = MODELS,
    data_dir: DataDir = DATA,
) -> None:
    """Measure a stored version on its test split."""
    with _failures_in_one_line():
        deferred("measuring").report_version(_console(), ModelRepository(models_dir), data_dir, name, version)


@app.command()
def compare(
    name: Name,
    recipe: RecipeName = None,
    fold_seed: Annotated[int, typer.Option(min=0, help="Decides the folds.")] = 0,
    data_dir: DataDir = DATA,
    recipes_dir: RecipesDir = BUILT_IN,
) -> None:
    """Cross-validate a recipe against simple classifiers, on the training split."""
    with _failures_in_one_line():
        chosen = load_recipe(recipe or name, recipes_dir)
        deferred("measuring").report_comparison(_console(), chosen, data_dir, fold_seed)


@contextmanager
def _failures_in_one_line() -> Iterator[None]:
    try:
        yield
    except WRONG_USAGE as error:
        _fail(str(error), fitting.WRONG_USAGE)
    except (TrainingError, StoreError, OSError) as error:
        _fail(str(error))


def _fail(message: str, code: int = fitting.FAILED) -> None:
    _errors().print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def _console() -> Console:
    return Console(file=sys.stdout)


def _errors() -> Console:
    return Console(file=sys.stderr)
