"""Add up the metrics of several workers, which share their figures as files in a folder.

The files of workers that ended stay and still count.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from app.telemetry.metrics import OF_NOW, ServingMetrics, Snapshot

INTERVAL_S = 0.25


class SharedFigures:
    """One worker's file in the folder, and its view of the others'."""

    def __init__(self, folder: Path, metrics: ServingMetrics, queued: Callable[[], Mapping[str, int]] = dict) -> None:
        """Create the view; nothing is read or written yet.

        Args:
            folder: of all workers' files.
            metrics: counts of this worker.
            queued: returns the number of waiting rows in this worker, by model.
        """
        self._folder = folder
        self._metrics = metrics
        self._queued = queued
        self._own = folder / f"{os.getpid()}.json"

    def inherit(self) -> None:
        """Take over the counts of one worker that ended, if there is any, so that the number of files stays bounded.

        Renaming the file changes its owner, so at every moment it counts once, and for one new worker only.
        """
        for path in self._folder.glob("*.json"):
            if path == self._own or not _alive(path):
                with contextlib.suppress(FileNotFoundError):  # another new worker took it first
                    path.rename(self._own)
                    self._metrics.inherit(_read(self._own))
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
            for family, by_labels in self._metrics.snapshot(self._queued()).items()
        }
        aside = self._own.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not stop serving; the next write may succeed
            aside.write_bytes(orjson.dumps(document))
            aside.replace(self._own)

    def others(self) -> list[Snapshot]:
        """Return the figures of all other workers; for those that ended, without gauges.

        Writes its own figures first: a total must not decrease if this worker is killed before its next write.
        """
        self.write()
        while True:
            try:
                return [_still_true(path) for path in self._folder.glob("*.json") if path != self._own]
            except FileNotFoundError:  # a new worker took it over and renamed it
                continue


def _read(path: Path) -> Snapshot:
    document = orjson.loads(path.read_bytes())
    return {family: {tuple(labels): figures for *labels, figures in rows} for family, rows in document.items()}


def _still_true(path: Path) -> Snapshot:
    figures = _read(path)
    return figures if _alive(path) else {name: figures[name] for name in figures if name not in OF_NOW}


def _alive(path: Path) -> bool:
    """Tell whether the worker whose process id is the file's name still runs."""
    try:
        os.kill(int(path.stem), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
