"""Collect the figures of all workers from one file per worker in a shared folder.

The counts in the files of ended workers stay in the sum.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from app.telemetry.metrics import OF_NOW, QUEUE, ServingMetrics, Snapshot

INTERVAL_S = 0.25


class WorkerFigures:
    """The figures of the only worker of a service."""

    def __init__(self, metrics: ServingMetrics, queued: Callable[[], Mapping[str, int]]) -> None:
        self._metrics = metrics
        self._queued = queued

    def own(self) -> Snapshot:
        """Return the figures of this process."""
        return self._metrics.snapshot() | {QUEUE: {(model,): [rows] for model, rows in self._queued().items()}}

    def of_all_workers(self) -> list[Snapshot]:
        """Return the figures of each worker, this one first."""
        return [self.own()]

    def processes(self) -> list[int]:
        """Return the process ids of all workers, ascending."""
        return [os.getpid()]


class SharedFigures(WorkerFigures):
    """The figures of one of several workers: its file in the folder, and its view of the others'."""

    def __init__(self, metrics: ServingMetrics, queued: Callable[[], Mapping[str, int]], folder: Path) -> None:
        super().__init__(metrics, queued)
        self._folder = folder
        self._file = folder / f"{os.getpid()}.json"

    def inherit(self) -> None:
        """Take over the counts of one worker that ended, if there is any, so that the number of files stays bounded.

        Renaming the file changes its owner, so at every moment it counts once, and for one new worker only.
        """
        for path in self._folder.glob("*.json"):
            if path == self._file or not _is_alive(path):
                with contextlib.suppress(FileNotFoundError):  # another new worker took it first
                    path.rename(self._file)
                    self._metrics.inherit(_read(self._file))
                    return

    async def keep_written(self) -> None:
        """Write this worker's figures every INTERVAL_S, forever; a killed worker loses at most the latest counts."""
        try:
            while True:
                self.write()
                await asyncio.sleep(INTERVAL_S)
        finally:
            self.write()

    def write(self) -> None:
        """Write this worker's figures atomically."""
        document = {
            family: [[*labels, figures] for labels, figures in by_labels.items()]
            for family, by_labels in self.own().items()
        }
        temporary = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not stop serving; the next write may succeed
            temporary.write_bytes(orjson.dumps(document))
            temporary.replace(self._file)

    def of_all_workers(self) -> list[Snapshot]:
        """Return the figures of each worker, this one first; of workers that ended, without gauges.

        Writes its own figures first: a total must not decrease if this worker is killed before its next write.
        """
        self.write()
        while True:
            try:
                others = [_current_figures(path) for path in self._folder.glob("*.json") if path != self._file]
                return [self.own(), *others]
            except FileNotFoundError:  # a new worker took it over and renamed it
                continue

    def processes(self) -> list[int]:
        """Return the process ids of all workers that run, ascending."""
        return sorted({os.getpid(), *(int(path.stem) for path in self._folder.glob("*.json") if _is_alive(path))})


def _read(path: Path) -> Snapshot:
    document = orjson.loads(path.read_bytes())
    return {family: {tuple(labels): figures for *labels, figures in rows} for family, rows in document.items()}


def _current_figures(path: Path) -> Snapshot:
    figures = _read(path)
    return figures if _is_alive(path) else {name: figures[name] for name in figures if name not in OF_NOW}


def _is_alive(path: Path) -> bool:
    """Tell whether the worker whose process id is the file's name still runs."""
    try:
        os.kill(int(path.stem), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
