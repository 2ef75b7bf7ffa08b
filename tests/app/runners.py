"""A job runner without HTTP, in an event loop of its own, and scripted training processes.

The process is a package called `training` in the current folder, which `python -m training` prefers.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from app.datasets.store import DatasetStore
from app.jobs.records import Ending, TrainingJob, TrainingRequest
from app.jobs.runner import JobRunner
from app.jobs.tablefile import DATABASE_FILE
from app.settings import Settings
from modelstore import Dialect, Inspection, ModelRepository
from tests.app.waiting import DEADLINE_S, until
from tests.fakes import MeanModel, manifest_for, script

Returned = TypeVar("Returned")

PROJECT = Path(__file__).resolve().parent.parent.parent
BEGINS = f"""
import json, os, pathlib, signal, subprocess, sys, time
sys.path.append({str(PROJECT)!r})
option = lambda name: sys.argv[sys.argv.index(name) + 1]
def say(**event): print(json.dumps(event), flush=True)
def epoch(n): say(event="epoch", epoch=n, epochs=9, train_loss=0.5, learning_rate=0.1, gradient_norm=1.0,
                  elapsed_s=0.1, remaining_s=0.1)
def end(reason, detail, **more): say(event="result", reason=reason, detail=detail, model=sys.argv[2], **more)
def publish():
    from modelstore import Manifest, ModelRepository, Permit
    repository = ModelRepository(pathlib.Path(option("--models-dir")))
    manifest = Manifest.from_json(pathlib.Path("manifest.json").read_bytes())
    lineage = manifest.lineage.model_copy(update={{"job": option("--job")}})
    manifest = manifest.model_copy(update={{"name": sys.argv[2], "lineage": lineage}})
    permit = Permit(option("--job"), option("--permit"))
    version = repository.publish(manifest, pathlib.Path("model.pt").read_bytes(), permit=permit).version
    repository.activate(sys.argv[2], version)
    return version
if sys.argv[1] == "wait": sys.exit()  # for a data set to check, which no test sends
epoch(1)
pathlib.Path("pid").write_text(str(os.getpid()))
"""


def write_training(folder: Path, source: str) -> None:
    """Let `python -m training` in a folder say one epoch, note its id in `pid`, and then run some lines."""
    (folder / "training").mkdir(parents=True, exist_ok=True)
    (folder / "training" / "__init__.py").touch()
    (folder / "training" / "__main__.py").write_text(BEGINS + source)
    if "publish()" in source:
        model = MeanModel(2, 0.0)
        data = script(model)
        (folder / "model.pt").write_bytes(data)
        (folder / "manifest.json").write_bytes(manifest_for(model, data).to_json())


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be asked how it ended does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def noted(file: str = "pid") -> int:
    """Wait for the id that a process notes in the current folder, and return it."""
    return until(lambda: Path(file).exists() and int(Path(file).read_text() or 0), f"an id in {file}")


class Trainings:
    """A job runner and the calls that tests make."""

    def __init__(self, portal: BlockingPortal, runner: JobRunner) -> None:
        self.portal = portal
        self.runner = runner
        self.reasons: list[str] = []

    def call(self, function: Callable[..., Awaitable[Returned]], *arguments: object) -> Returned:
        return self.portal.call(function, *arguments)

    def start(self, model: str = "iris") -> TrainingJob:
        return self.call(self.runner.start, TrainingRequest(model=model))

    def get(self, job: TrainingJob) -> TrainingJob:
        return self.call(self.runner.get, job.id)

    def ended(self, job: TrainingJob) -> TrainingJob:
        job = self.call(self.runner.wait, job.id, DEADLINE_S)
        assert job.ended, job
        return job

    def lines(self, job: TrainingJob, after: int = 0) -> list[tuple[int, str]]:
        async def collect() -> list[tuple[int, str]]:
            return [event async for event in self.runner.events(job.id, after)]

        return self.call(collect)


async def _nothing_to_inspect(_file: Path, _dialect: Dialect) -> Inspection:
    raise AssertionError("no test sends a data set here")


@contextlib.contextmanager
def trainings(settings: Settings, published: Callable[[], Awaitable[None]] | None = None) -> Iterator[Trainings]:
    """Run a job runner; two of them on one table behave as two processes do, but that neither dies alone."""
    reasons: list[str] = []

    def ended(ending: Ending) -> None:
        assert (ending.ran_s is None) == (ending.job is None)
        reasons.append(ending.reason)

    async def look() -> None:
        if published:
            await published()

    async def make() -> JobRunner:
        datasets = DatasetStore(settings.datasets_dir, settings.max_dataset_bytes, _nothing_to_inspect)
        return JobRunner(settings, ModelRepository(settings.models_dir), datasets, look, ended)

    with start_blocking_portal() as portal:
        runner = portal.call(make)
        portal.call(runner.open)
        found = Trainings(portal, runner)
        found.reasons = reasons
        try:
            yield found
        finally:
            portal.call(runner.close)


def threads_of(pid: int) -> int:
    """Return how many threads a process has."""
    return len(os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208 - names only


@contextlib.contextmanager
def lock(settings: Settings) -> Iterator[None]:
    """Hold the job table as somebody does who writes for a long time."""
    with contextlib.closing(sqlite3.connect(settings.state_dir / DATABASE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
