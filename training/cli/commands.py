"""The command line `python -m training ...`: commands, options and exit codes.

It must not import torch or scikit-learn. typer takes the options from the parameters of a function, so those of `fit`
are many.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelstore import Activation, ModelRepository, ModelVersion, compare_versions
from training.cli import data as data_files
from training.cli import fit as fitting
from training.cli import store as stored
from training.cli.lazy import load_module
from training.cli.options import (
    DATA,
    DATASETS,
    KEEP_VERSIONS,
    MODELS,
    CommentText,
    DataDir,
    DatasetsDir,
    DecimalText,
    DecisionJson,
    DelimiterText,
    DialectJson,
    EncodingName,
    HasHeader,
    KeyFile,
    MissingValues,
    ModelsDir,
    Name,
    Options,
    QuoteText,
    RareClasses,
    RecipesDir,
    SkipBelow,
    SkipFooter,
    SkipRows,
    SplitBy,
    TaskName,
    Types,
    Version,
    console,
    errors,
    failures_in_one_line,
    store,
)
from training.cli.report import print_recipes, print_two_versions
from training.config.options import DialectTexts, OptionTexts
from training.config.recipe import BUILT_IN, load_recipe, recipe_names
from training.config.run import DataPlaces, Folders
from training.errors import RecipeError

DataFile = Annotated[Path | None, typer.Option("--data", metavar="FILE", help="Data file, if it was moved.")]
Features = Annotated[
    str | None,
    typer.Option(metavar="A,B,C", help="Feature columns, or a JSON array; - reads stdin; default: all others."),
]
RecipeName = Annotated[str | None, typer.Option("--recipe", help="Recipe to use, such as cancer-tutorial.")]

app = typer.Typer(
    name="training",
    help="Train, compare and publish Tabserve's models.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def fit(
    name: Annotated[str | None, typer.Argument(help="Model name; with --data, the file's by default.")] = None,
    *,
    recipe: RecipeName = None,
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="CSV file to train on without a recipe.")] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Class column of that file.")] = None,
    features: Features = None,
    types: Types = None,
    task: TaskName = None,
    split: SplitBy = None,
    rare_classes: RareClasses = None,
    missing_values: MissingValues = None,
    options: Options = None,
    delimiter: DelimiterText = None,
    quote: QuoteText = None,
    decimal: DecimalText = None,
    encoding: EncodingName = None,
    header: HasHeader = None,
    skip_rows: SkipRows = None,
    skip_below: SkipBelow = None,
    skip_footer: SkipFooter = None,
    comment: CommentText = None,
    dialect: DialectJson = None,
    decision: DecisionJson = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Setting such as hidden=32,16; repeatable."),
    ] = None,
    overrides: Annotated[str | None, typer.Option(metavar="JSON", help="Training settings as one JSON object.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, shuffling, dropout and validation rows.")] = None,
    activate: Annotated[Activation, typer.Option(help="When to make the new version the active one.")] = "if_better",
    job: Annotated[str | None, typer.Option(help="Job id for the manifest.")] = None,
    permit: Annotated[str | None, typer.Option(metavar="TOKEN", help="Token of the job's permit to publish.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Number of versions to keep.")] = KEEP_VERSIONS,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="Write events as JSON lines to stdout.")] = False,
    tensorboard: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for TensorBoard files.")] = None,
    models_dir: ModelsDir = MODELS,
    key_file: KeyFile = None,
    data_dir: DataDir = DATA,
    recipes_dir: RecipesDir = BUILT_IN,
) -> None:
    """Train a model from its recipe or from your data, publish the version, and activate it if it is better."""
    request = fitting.FitRequest(
        model=name,
        folders=Folders(models_dir, data_dir, recipes_dir, key_file),
        recipe=recipe,
        data=data,
        target=target,
        features=features,
        options=OptionTexts(options, types or (), task, split, rare_classes, missing_values),
        dialect=DialectTexts(
            dialect, delimiter, quote, decimal, encoding, header, skip_rows, skip_below, skip_footer, comment
        ),
        decision=decision,
        assignments=assignments or (),
        overrides=overrides,
        seed=seed,
        policy=activate,
        job=job,
        permit=permit,
        keep=keep,
        json_lines=json_lines,
        tensorboard=tensorboard,
    )
    raise typer.Exit(fitting.fit(request, console(), errors()))


@app.command()
def ensure(
    models_dir: ModelsDir = MODELS,
    data_dir: DataDir = DATA,
    recipes_dir: RecipesDir = BUILT_IN,
    key_file: KeyFile = None,
) -> None:
    """Train and activate every model that has no version yet."""
    with failures_in_one_line():
        raise typer.Exit(fitting.ensure(Folders(models_dir, data_dir, recipes_dir, key_file), console(), errors()))


@app.command()
def recipes(recipes_dir: RecipesDir = BUILT_IN) -> None:
    """Show all recipes."""
    with failures_in_one_line():
        print_recipes(console(), [(name, load_recipe(name, recipes_dir)) for name in recipe_names(recipes_dir)])


@app.command()
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


@app.command()
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


@app.command()
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
        if versions:
            print_two_versions(console(), compare_versions(*_two(repository, name, versions)))
            return
        measure = load_module("cli.measure")
        if recipe or name in recipe_names(recipes_dir) or not repository.versions(name):
            chosen, folder = load_recipe(recipe or name, recipes_dir), data_dir
        else:
            chosen, folder = measure.stored_recipe(repository, DataPlaces(data_dir, datasets_dir), name, data_file)
        measure.report_comparison(console(), chosen, folder, fold_seed)


def _two(repository: ModelRepository, name: str, versions: list[int]) -> tuple[ModelVersion, ModelVersion]:
    if len(versions) != 2:
        raise RecipeError("versions", "", "two of them, as in: compare iris 3 7", versions)
    first, second = (repository.find(name, version) for version in versions)
    return first, second


data_files.install(app)
stored.install(app)
