"""The commands of `tabserve`: its own, those of the service, and those of the training.

typer takes the options from the parameters of a function, so those of `predict` and `score` are many.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tabserve.cli.conformance import CheckedServer, check_server
from tabserve.cli.group import LazyGroup
from tabserve.cli.options import MODELS, IgnoreExtra, KeyFile, ModelsDir, Strict, Threshold
from tabserve.cli.predict import PredictArguments, predict_file
from tabserve.cli.score import ScoreArguments, score_files
from tabserve.errors import MissingExtra, TabserveError
from tabserve.late import has
from tabserve.printing import printable

FAILED = 1


class OnError(StrEnum):
    """What becomes of a row that cannot be answered."""

    fail = "fail"
    skip = "skip"


PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="tabserve",
    help="Turn a table of labelled rows into a prediction endpoint that people can trust.",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tabserve {metadata.version('tabserve')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn a table of labelled rows into a prediction endpoint that people can trust."""


@app.command(context_settings=PASSED_ON)
def serve(ctx: typer.Context) -> None:
    """Serve the models of a store over HTTP; --help shows all settings, --demo trains demonstration models first."""
    _become(ctx.args)


@app.command(context_settings=PASSED_ON)
def keys(ctx: typer.Context) -> None:
    """Create, list and revoke API keys."""
    _become(["keys", *ctx.args])


@app.command(context_settings=PASSED_ON)
def audit(ctx: typer.Context) -> None:
    """Check audit files."""
    _become(["audit", *ctx.args])


@app.command()
def predict(
    file: Annotated[Path, typer.Argument(help="CSV file (.csv, .tsv, also .gz) or lines of JSON (.ndjson, .jsonl).")],
    *,
    model: Annotated[
        str | None, typer.Option(help="Name, or folder of a model or version; default: the only one.")
    ] = None,
    version: Annotated[int | None, typer.Option(help="Version; default: the active one.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: stdout.")] = None,
    url: Annotated[str | None, typer.Option(help="Ask this service, instead of loading the version here.")] = None,
    key: Annotated[str | None, typer.Option(envvar="TABSERVE_API_KEY", help="API key for the service.")] = None,
    strict: Strict = None,
    threshold: Threshold = None,
    ignore_extra: IgnoreExtra = False,
    encoding: Annotated[str, typer.Option(help="Encoding of the file.")] = "utf-8",
    models_dir: ModelsDir = MODELS,
    key_file: KeyFile = None,
) -> None:
    """Predict the rows of a file of any size; no service is needed, unless --url names one."""
    options = {"strict": strict, "threshold": threshold, "ignore_extra": ignore_extra, "encoding": encoding}
    asked = PredictArguments(file, model, version, output, url, key, models_dir, key_file, options)
    try:
        predict_file(asked)
    except (TabserveError, OSError) as error:
        _fail(error)


@app.command()
def score(
    *,
    inputs: Annotated[
        list[str], typer.Option("--in", help="File, folder or pattern: Parquet, Arrow, CSV, NDJSON; may be repeated.")
    ],
    output: Annotated[
        Path, typer.Option("--out", help="File to write: .parquet, .arrow, .csv or .ndjson, as its suffix says.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Name, also with a version (churn@3), or folder of a model or version; default: the only one."
        ),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add what each column contributes; slow.")] = False,
    confidence: Annotated[float | None, typer.Option(help="Add sets or intervals of this confidence, as 0.9.")] = None,
    threshold: Threshold = None,
    strict: Strict = None,
    ignore_extra: IgnoreExtra = False,
    on_error: Annotated[
        OnError, typer.Option(help="A bad row ends the run, or gets its error in place of an answer.")
    ] = OnError.fail,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, one core each; default: all cores.")] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Score on this Ray cluster; `local` starts one here.")
    ] = None,
    part_mib: Annotated[
        float | None, typer.Option(min=0.001, help="MiB of a file that are done again after an interruption.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output, and what an interrupted run has left.")
    ] = False,
    models_dir: ModelsDir = MODELS,
    key_file: KeyFile = None,
) -> None:
    """Predict all rows of large files on all cores; no service is needed. Started again, it goes on where it was."""
    options = {"explain": explain or None, "confidence": confidence, "threshold": threshold, "strict": strict}
    skip = on_error is OnError.skip
    asked = ScoreArguments(
        inputs, output, model, models_dir, key_file, options, skip, ignore_extra, workers, part_mib, overwrite, ray
    )
    try:
        score_files(asked)
    except (TabserveError, OSError) as error:
        _fail(error)


@app.command()
def conformance(
    url: Annotated[str, typer.Argument(help="Address of the server, such as http://localhost:8000.")],
    *,
    model: Annotated[str | None, typer.Option(help="A model that serves; default: the first that is listed.")] = None,
    grpc: Annotated[str | None, typer.Option(help="Host and port of gRPC, to check its rules, too.")] = None,
    request: Annotated[
        Path | None, typer.Option(help="JSON file with a request that the model can answer; default: of its metadata.")
    ] = None,
    key: Annotated[str | None, typer.Option(envvar="TABSERVE_API_KEY", help="API key, sent as a bearer token.")] = None,
    report: Annotated[Path | None, typer.Option(help="File to write the findings to, as JSON.")] = None,
) -> None:
    """Check any server against the Open Inference Protocol; ends with 1 if a rule is broken."""
    try:
        kept = check_server(CheckedServer(url, model, grpc, request, key), report, Console(soft_wrap=True))
    except (TabserveError, OSError) as error:
        _fail(error)
    if not kept:
        raise typer.Exit(FAILED)


def _become(arguments: list[str]) -> None:
    """Replace this process by the service's program, so that signals and exit codes are its own."""
    if not has("uvicorn"):
        _fail(MissingExtra("serving", "tabserve[serve]"))
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "app", *arguments])  # noqa: S606 - no shell is wanted


def _fail(error: Exception) -> None:
    """Print one line and end the command.

    Raises:
        typer.Exit.
    """
    Console(stderr=True).print(printable(f"error: {error}", keep="\n"), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(FAILED)
