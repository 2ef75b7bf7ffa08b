"""Commands on data files: inspect, data.

It must not import pandas before a file is read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from modelstore import Inspection
from training.cli import fit
from training.cli.options import (
    DATA,
    CommentText,
    DataDir,
    DecimalText,
    DelimiterText,
    DialectJson,
    EncodingName,
    EscapeText,
    HasHeader,
    MissingValues,
    QuoteText,
    SkipBelow,
    SkipFooter,
    SkipRows,
    Types,
    console,
    fail,
    failures_in_one_line,
)
from training.config.options import DialectTexts, OptionTexts
from training.lazy import load_module


def install(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(inspect)
    app.command()(data)

    @app.command(hidden=True)
    def wait() -> None:
        """Import what `inspect` needs, then run the command whose arguments come as a JSON array on standard input."""
        load_module("data.inspection")
        if arguments := sys.stdin.readline():
            app(json.loads(arguments), prog_name="python -m training")


def inspect(
    file: Annotated[Path, typer.Argument(help="A file with a table.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Write one line of JSON to stdout.")] = False,
    types: Types = None,
    missing_values: MissingValues = None,
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
) -> None:
    """Check a file with a table and show its columns; exit code 1 if it has faults."""
    with failures_in_one_line():
        options = OptionTexts(types=types or (), missing_values=missing_values).read()
        known = DialectTexts(
            dialect, delimiter, quote, escape, decimal, encoding, header, skip_rows, skip_below, skip_footer, comment
        ).read()
    inspection = load_module("data.inspection")
    found: Inspection = inspection.inspect_file(file, options, known)
    if as_json:
        sys.stdout.write(f"{found.model_dump_json()}\n")
    else:
        inspection.print_inspection(console(), file.name, found)
    raise typer.Exit(fit.FAILED if found.faults else fit.SUCCEEDED)


def data(
    check: Annotated[bool, typer.Option("--check", help="Compare byte by byte instead of writing.")] = False,
    data_dir: DataDir = DATA,
) -> None:
    """Write the built-in data files, or compare them."""
    sources = load_module("data.builtin")
    with failures_in_one_line():
        if not check:
            console().print(f"wrote {', '.join(sources.write(data_dir))} to {data_dir}", highlight=False)
            return
        wrong = sources.find_differences(data_dir)
        if wrong:
            fail(f"missing in {data_dir} or changed: {', '.join(wrong)}; `training data` writes them")
        console().print(f"the files in {data_dir} are exactly as generated", highlight=False)
