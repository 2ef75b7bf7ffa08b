"""Options, consoles and error reporting shared by all commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from modelstore import InvalidKey, InvalidName, ModelRepository, SigningKey, StoreError, UnknownModel, UnknownVersion
from training.cli import fit
from training.errors import RecipeError, TrainingError, UnknownRecipe, WrongModel

WRONG_USAGE = (InvalidKey, InvalidName, RecipeError, UnknownModel, UnknownRecipe, UnknownVersion, WrongModel)

ModelsDir = Annotated[Path, typer.Option(envvar="TABSERVE_MODELS_DIR", help="Folder of the published versions.")]
DataDir = Annotated[Path, typer.Option(envvar="TABSERVE_DATA_DIR", help="Folder of the CSV files.")]
DatasetsDir = Annotated[Path, typer.Option(envvar="TABSERVE_DATASETS_DIR", help="Folder of the service's data sets.")]
RecipesDir = Annotated[Path, typer.Option(envvar="TABSERVE_RECIPES_DIR", help="Folder of the recipes.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--signing-key-file",
        envvar="TABSERVE_SIGNING_KEY_FILE",
        help="File of the signing keys; only versions signed with one of them are trusted.",
    ),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="COLUMN=TYPE", help="numeric, categorical, boolean or datetime; repeatable."),
]
TaskName = Annotated[
    str | None, typer.Option("--task", help="classification or regression; default: by the target's values.")
]
SplitBy = Annotated[
    str | None,
    typer.Option("--split", metavar="time=COLUMN|group=COLUMN", help="How rows are held out; default: by a hash."),
]
RareClasses = Annotated[str | None, typer.Option(help="Classes with fewer than 5 rows: drop (default), merge, refuse.")]
MissingValues = Annotated[
    str | None, typer.Option(metavar="A,B", help="Cells that stand for a missing value, in place of the usual ones.")
]
Options = Annotated[
    str | None, typer.Option(metavar="JSON", help="The five options above as one object; - reads a line of stdin.")
]
DecisionJson = Annotated[
    str | None,
    typer.Option(
        "--decision",
        metavar="JSON",
        help='How a class is chosen: {"threshold": 0.3}, {"costs": [[0, 1], [5, 0]]}, {"maximise": "f1"}.',
    ),
]
AbstainJson = Annotated[
    str | None,
    typer.Option(
        "--abstain",
        metavar="JSON",
        help='When nothing is decided: {"below": 0.8}, {"confidence": 0.9}, {"out_of_range": true}, or several; of a '
        'quantity {"wider": 5000, "confidence": 0.9}.',
    ),
]
CardJson = Annotated[
    str | None,
    typer.Option("--card", metavar="JSON", help='What people state for the model card: {"owner": "Credit team", ...}.'),
]
FeedbackJson = Annotated[
    str | None,
    typer.Option(
        "--feedback",
        metavar="JSON",
        help="Rows with labels that came later, to train on as well; - reads a line of stdin.",
    ),
]
DelimiterText = Annotated[
    str | None, typer.Option("--delimiter", metavar="TEXT", help="Between cells: , ; | or tab; default: detected.")
]
QuoteText = Annotated[str | None, typer.Option("--quote", metavar="TEXT", help="Around cells: \" or '.")]
EscapeText = Annotated[
    str | None,
    typer.Option("--escape", metavar="TEXT", help="Before quotes inside quotes: a backslash, or '' for none."),
]
DecimalText = Annotated[str | None, typer.Option("--decimal", metavar="TEXT", help="In numbers: . or a comma.")]
EncodingName = Annotated[str | None, typer.Option("--encoding", help="utf-8, utf-16 or cp1252.")]
HasHeader = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether there is a line of column names.")
]
SkipRows = Annotated[int | None, typer.Option(metavar="N", help="Lines above the header that are no rows.")]
SkipBelow = Annotated[int | None, typer.Option(metavar="N", help="Lines directly below the header that are no rows.")]
SkipFooter = Annotated[int | None, typer.Option(metavar="N", help="Lines at the end that are no rows.")]
CommentText = Annotated[
    str | None, typer.Option("--comment", metavar="TEXT", help="Lines that begin with it are no rows; '' for none.")
]
DialectJson = Annotated[
    str | None, typer.Option("--dialect", metavar="JSON", help="The ten options of the file above as one object.")
]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
RecipeName = Annotated[str | None, typer.Option("--recipe", help="Recipe to use, such as cancer-tutorial.")]
Version = Annotated[int, typer.Argument(help="A published version.")]

MODELS, DATA, DATASETS = Path("models"), Path("data"), Path("datasets")
KEEP_VERSIONS = 20


def store(folder: Path, key_file: Path | None) -> ModelRepository:
    """Return the model store that the options name.

    Raises:
        InvalidKey: if there is a key file that cannot be used.
    """
    return ModelRepository(folder, SigningKey.read(key_file) if key_file else None)


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Turn known errors into one line and an exit code.

    Raises:
        typer.Exit.
    """
    try:
        yield
    except WRONG_USAGE as error:
        fail(str(error), fit.WRONG_USAGE)
    except (TrainingError, StoreError, OSError) as error:
        fail(str(error))


def fail(message: str, code: int = fit.FAILED) -> None:
    """Print one error line and end the command.

    Raises:
        typer.Exit.
    """
    errors().print(f"error: {message}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def console() -> Console:
    """Return the console for results, standard output."""
    return Console(file=sys.stdout)


def errors() -> Console:
    """Return the console for error lines, standard error."""
    return Console(file=sys.stderr)
