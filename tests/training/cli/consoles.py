"""Commands and consoles whose output tests read."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner, Result

from training.cli.commands import app


def invoke(*arguments: str | int | Path) -> Result:
    """Run `python -m training` in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def new_console() -> Console:
    return Console(file=io.StringIO(), width=120)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row(console: Console, start: str) -> list[str]:
    """Return the cells of the table row whose first cell is this."""
    for line in text(console).splitlines():
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if cells[0] == start:
            return cells[1:]
    raise AssertionError(f"no row {start!r} in\n{text(console)}")
