"""Show how a training goes: a bar on a terminal or in a notebook, nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Show = Callable[[dict[str, Any]], None]


@contextlib.contextmanager
def following(job: dict[str, Any], *, shown: bool, console: Console | None = None) -> Iterator[Show]:
    """Yield a function that shows a job as it is now.

    Args:
        job: the job, as `GET /train/{job_id}` describes it.
        shown: False to show nothing.
        console: where to show it; by default standard error.
    """
    console = console or Console(file=sys.stderr)
    if not shown or not (console.is_terminal or console.is_jupyter):
        yield lambda job: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(sentence(job), total=None)

        def show(job: dict[str, Any]) -> None:
            """Show how far a training is."""
            latest = job["progress"] or {}
            ended = job["finished"] is not None
            known = {"total": latest["epochs"], "completed": latest["epoch"]} if "epoch" in latest else {}
            known |= {"total": 1, "completed": 1} if ended else {}
            progress.update(task, description=sentence(job), **known)

        yield show


def sentence(job: dict[str, Any]) -> str:
    """Return how a training stands in a line."""
    name = job["model"]
    if job.get("search_of"):  # which a service of an older release does not say
        return f"{name}: search job of training {job['search_of']}, {job['status']}"
    if job["status"] == "queued":
        return f"{name}: waits, position {job['queue_position']} of the queue"
    if job["status"] == "succeeded":
        shadow = (job["gate"] or {}).get("shadow")
        place = "active" if job["activated"] else "the shadow of the active one" if shadow else "published, not active"
        return f"{name}: version {job['version']} is {place}"
    if job["status"] != "running":
        return f"{name}: {job['status']}"
    latest = job["progress"] or {}
    if "epoch" in latest:
        return f"{name}: epoch {latest['epoch']} of {latest['epochs']}, loss {latest['train_loss']:.4f}"
    return str(latest.get("message") or f"{name}: begins")
