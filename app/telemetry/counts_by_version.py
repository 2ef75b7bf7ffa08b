"""Counts of all versions in one process; those of many versions of a model are dropped."""

from __future__ import annotations

import os
from collections.abc import Sequence

from app.telemetry.version_counters import OF_A_VERSION, REQUESTS, SHADOWED, TIMES, Figures, ShadowCounts, VersionCounts
from modelstore import Feature

MAX_VERSIONS = 10  # versions of a model that are counted separately; the least recently used are dropped
MAX_CLASSES = 100  # largest number of classes for which predictions are counted by class


class CountsByVersion:
    """Counts of all versions in one process."""

    def __init__(self) -> None:
        self._figures: Figures = {name: {} for name in (*OF_A_VERSION, TIMES)}
        self._process = str(os.getpid())
        self._known: dict[tuple[str, str], VersionCounts] = {}

    @property
    def figures(self) -> Figures:
        """Return all counts, for other workers to read; each figure may change independently while they are read."""
        for counts in self._known.values():
            counts.sort()
        return self._figures

    def version(
        self, name: str, version: int, classes: Sequence[str] = (), features: Sequence[Feature] = ()
    ) -> VersionCounts:
        """Return the counts of a version; callers that keep them must ask again for each new version.

        Args:
            name: name of the model.
            version: version number.
            classes: its labels, to count its predictions by class.
            features: its features, to compare its rows with the training split.
        """
        key, named = (name, str(version)), tuple(classes) if len(classes) <= MAX_CLASSES else ()
        counts = self._known.get(key)
        if counts and features and counts.features not in ((), tuple(features)):  # another version now has this number
            self._forget(key)
        counts = self._known.pop(key, None)
        if counts is None or counts.classes != named:
            older = [known for known in self._known if known[0] == name]
            for forgotten in older[: max(0, len(older) - MAX_VERSIONS + 1)]:
                self._forget(forgotten)
            counts = VersionCounts(self._figures, key, self._process, named, features)
        self._known[key] = counts  # moved to the end: the most recently used is dropped last
        return counts

    def shadow(self, name: str, version: int, shadow: int) -> ShadowCounts:
        """Return the counts of a version and its shadow; ask again for each use: old ones are dropped."""
        return ShadowCounts(self._figures[SHADOWED].setdefault((name, str(version), str(shadow)), [0.0] * 5))

    def inherit(self, figures: Figures) -> None:
        """Add the counts of a process that has ended."""
        for family in self._figures:
            for labels, values in figures.get(family, {}).items():
                own = self._figures[family].setdefault(labels, [0.0] * len(values))
                own[:] = [a + b for a, b in zip(own, values, strict=True)]
        for name, version in [*self._figures[REQUESTS]]:
            self.version(name, int(version))

    def _forget(self, key: tuple[str, str]) -> None:
        self._known.pop(key).sort()  # the stage times of its model stay
        for family in OF_A_VERSION:
            for labels in [labels for labels in self._figures[family] if labels[:2] == key]:
                del self._figures[family][labels]
