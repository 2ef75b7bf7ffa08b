"""`tabserve score`: all rows of large files, predicted here on all cores."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tabserve.cli.models import version_folder
from tabserve.errors import MissingExtra, WrongInput
from tabserve.late import has, load_optional
from tabserve.printing import printable

_LINE_S = 10  # between two lines of progress where no terminal shows a bar
_EXTRA = "tabserve[serve,arrow]"


@dataclass(frozen=True, slots=True)
class ScoreArguments:
    """The arguments of the command; see `tabserve score --help`."""

    inputs: Sequence[str]
    output: Path
    model: str | None
    models_dir: Path
    key_file: Path | None
    options: Mapping[str, Any]
    skip: bool
    ignore_extra: bool
    workers: int | None
    part_mib: float | None
    overwrite: bool
    ray: str | None


def score_files(asked: ScoreArguments) -> None:
    """Score files, and show on standard error how it goes.

    Raises:
        TabserveError, OSError.
    """
    load_optional("pyarrow", _EXTRA, "scoring files")
    load_optional("torch", _EXTRA, "scoring files")
    if asked.ray is not None and not has("ray"):
        raise MissingExtra("scoring on Ray", "tabserve[ray]")
    runs = load_optional("app.scoring.run", _EXTRA, "scoring files")
    folder, console = version_folder(asked.models_dir, asked.model), Console(file=sys.stderr)
    try:
        wanted = runs.ScoringRequest(
            version=folder,
            key_file=asked.key_file,
            inputs=tuple(asked.inputs),
            output=asked.output,
            options=runs.bulk_options(asked.options, skip=asked.skip, ignore_extra=asked.ignore_extra),
            workers=asked.workers,
            part_bytes=runs.PART_BYTES if asked.part_mib is None else max(1, int(asked.part_mib * (1 << 20))),
            overwrite=asked.overwrite,
            ray=asked.ray,
        )
        with _Shown(console) as shown:
            record = runs.score(wanted, shown.show)
    except runs.FAILURES as error:
        raise WrongInput(str(error)) from error
    console.print(_summary(record, asked.output), markup=False, highlight=False, soft_wrap=True)


class _Shown:
    """Progress: a bar on a terminal, else a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("loading", total=None)
        self._began = self._said = time.monotonic()
        self._first: Any = None

    def __enter__(self) -> _Shown:
        self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()

    def show(self, progress: Any) -> None:
        """Show the rows that are done, how many a second, and the time left."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = progress, now  # parts from before an interruption come all at once
        passed = max(now - self._began, 1e-9)
        rows, done = progress.rows - self._first.rows, progress.size_bytes - self._first.size_bytes
        text = f"{progress.rows:,} rows" + (f", {rows / passed:,.0f} rows/s" if rows else "")
        self._bar.update(self._task, description=text, completed=progress.size_bytes, total=progress.total_bytes)
        if not self._console.is_terminal and now - self._said > _LINE_S:
            self._said = now
            left = (progress.total_bytes - progress.size_bytes) * passed / done if done else None
            text += f", {progress.size_bytes / max(progress.total_bytes, 1):.0%}"
            text += f", {left:,.0f} s left" if left is not None else ""
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _summary(record: Mapping[str, Any], output: Path) -> str:
    """Return the last lines: what was done, and which rows have no answer."""
    rows, took_s = record["rows"], record["took_s"]
    text = f"{rows:,} rows by {record['model']} version {record['version']} in {took_s:.1f} s"
    text += f" ({rows / max(took_s, 1e-3):,.0f} rows/s): {output}"
    if bad := record["rows_with_error"]:
        text += f"\n{bad:,} rows have an error in place of an answer (column error), the first:"
        text += "".join(f"\n  {printable(problem)}" for problem in record["first_errors"])
    return text
