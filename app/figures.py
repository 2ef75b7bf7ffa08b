"""Lets several workers show one sum: each leaves its figures in a folder, where those of a dead one stay and count."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import orjson

from app.metrics import ServingMetrics, Snapshot

INTERVAL_S = 0.25


class SharedFigures:
    """One worker's place in the folder, and its view of the others'."""

    def __init__(self, folder: Path, metrics: ServingMetrics) -> None:
        self._folder = folder
        self._metrics = metrics
        self._own = folder / f"{os.getpid()}.json"

    async def keep_written(self) -> None:
        """Write this worker's figures a few times a second, for ever; a killed worker loses at most the last ones."""
        while True:
            self.write()
            await asyncio.sleep(INTERVAL_S)

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

    def others(self) -> Iterator[Snapshot]:
        """Yield the figures of all other workers, dead ones too."""
        for path in self._folder.glob("*.json"):
            if path != self._own:
                document = orjson.loads(path.read_bytes())
                yield {
                    family: {tuple(labels): figures for *labels, figures in rows} for family, rows in document.items()
                }
