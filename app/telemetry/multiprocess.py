"""Lets several workers show one sum: each leaves its figures in a folder, where those of a dead one stay and count."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import orjson

from app.telemetry.metrics import OF_NOW, ServingMetrics, Snapshot

INTERVAL_S = 0.25


class SharedFigures:
    """One worker's place in the folder, and its view of the others'."""

    def __init__(self, folder: Path, metrics: ServingMetrics) -> None:
        self._folder = folder
        self._metrics = metrics
        self._own = folder / f"{os.getpid()}.json"

    def inherit(self) -> None:
        """Take over what a dead worker had counted, if there is one, so that files do not grow in number.

        The file changes its owner by its name alone: at every moment it counts once, and for one of the new workers.
        """
        for path in self._folder.glob("*.json"):
            if path == self._own or not _alive(path):
                with contextlib.suppress(FileNotFoundError):  # another new worker was quicker
                    path.rename(self._own)
                    self._metrics.inherit(_read(self._own))
                    return

    async def keep_written(self) -> None:
        """Write this worker's figures a few times a second, for ever; a killed worker loses at most the last ones."""
        try:
            while True:
                self.write()
                await asyncio.sleep(INTERVAL_S)
        finally:
            self.write()

    def write(self) -> None:
        """Write this worker's figures, whole or not at all."""
        document = {
            family: [[*labels, figures] for labels, figures in by_labels.items()]
            for family, by_labels in self._metrics.snapshot().items()
        }
        aside = self._own.with_suffix(".new")
        with contextlib.suppress(OSError):  # no room for figures is no reason to stop serving; the next time will do
            aside.write_bytes(orjson.dumps(document))
            aside.replace(self._own)

    def others(self) -> list[Snapshot]:
        """Return the figures of all other workers, of dead ones what stays true.

        Writes its own first: what is shown now must not be less when this worker is killed before it writes again.
        """
        self.write()
        while True:
            try:
                return [_still_true(path) for path in self._folder.glob("*.json") if path != self._own]
            except FileNotFoundError:  # a new worker took it over: it has another name now
                continue


def _read(path: Path) -> Snapshot:
    document = orjson.loads(path.read_bytes())
    return {family: {tuple(labels): figures for *labels, figures in rows} for family, rows in document.items()}


def _still_true(path: Path) -> Snapshot:
    figures = _read(path)
    return figures if _alive(path) else {name: figures[name] for name in figures if name not in OF_NOW}


def _alive(path: Path) -> bool:
    """Tell whether the worker that a file is named for still runs."""
    try:
        os.kill(int(path.stem), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
