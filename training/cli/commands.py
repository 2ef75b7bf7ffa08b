"""The command line `python -m training ...`: commands, options and exit codes.

It must not import torch or scikit-learn. typer takes the options from the parameters of a function, so those of `fit`
are many.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelstore import Activation
from training.cli import data as data_files
from training.cli import evaluate as evaluating
from training.cli import fit as fitting
from training.cli import store as stored
from training.cli.lists import print_recipes
from training.cli.options import (
    DATA,
    KEEP_VERSIONS,
    MODELS,
    AbstainJson,
    CardJson,
    CommentText,
    DataDir,
    DecimalText,
    DecisionJson,
    DelimiterText,
    DialectJson,
    EncodingName,
    EscapeText,
    FeedbackJson,
    HasHeader,
    KeyFile,
    MissingValues,
    ModelsDir,
    Options,
    QuoteText,
    RareClasses,
    RecipeName,
    RecipesDir,
    SkipBelow,
    SkipFooter,
    SkipRows,
    SplitBy,
    TaskName,
    Types,
    console,
    errors,
    failures_in_one_line,
)
from training.config.options import DialectTexts, OptionTexts
from training.config.recipe import BUILT_IN, load_recipe, recipe_names
from training.config.run import Folders

Features = Annotated[
    str | None,
    typer.Option(metavar="A,B,C", help="Feature columns, or a JSON array; - reads stdin; default: all others."),
]

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
    escape: EscapeText = None,
    decimal: DecimalText = None,
    encoding: EncodingName = None,
    header: HasHeader = None,
    skip_rows: SkipRows = None,
    skip_below: SkipBelow = None,
    skip_footer: SkipFooter = None,
    comment: CommentText = None,
    dialect: DialectJson = None,
    decision: DecisionJson = None,
    abstain: AbstainJson = None,
    card: CardJson = None,
    feedback: FeedbackJson = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Setting such as hidden=32,16; repeatable.")
    ] = None,
    overrides: Annotated[str | None, typer.Option(metavar="JSON", help="Training settings as one JSON object.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, shuffling, dropout and validation rows.")] = None,
    search: Annotated[
        int | None, typer.Option(metavar="N", help="Settings to try, of mlp, realmlp or trees; the best are trained.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that try settings at once.")] = 1,
    only_search: Annotated[
        bool, typer.Option("--only-search", help="Try settings for the same training elsewhere, and publish nothing.")
    ] = False,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="TABSERVE_DATABASE_URL",
            metavar="URL",
            help="PostgreSQL in which searches share what they tried; default: a file in the models folder.",
        ),
    ] = None,
    activate: Annotated[
        Activation | None, typer.Option(help="When to make the new version the active one; default: the recipe's.")
    ] = None,
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
            dialect, delimiter, quote, escape, decimal, encoding, header, skip_rows, skip_below, skip_footer, comment
        ),
        decision=decision,
        abstain=abstain,
        card=card,
        feedback=feedback,
        assignments=assignments or (),
        overrides=overrides,
        seed=seed,
        policy=activate,
        job=job,
        permit=permit,
        keep=keep,
        json_lines=json_lines,
        tensorboard=tensorboard,
        search=search,
        workers=workers,
        only_search=only_search,
        database=database,
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


evaluating.install(app)
data_files.install(app)
stored.install(app)
