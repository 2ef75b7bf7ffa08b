"""Keep evenly spread rows of a stream, so that what must be sorted has bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class EvenRows:
    """Keeps at most `most` rows of a stream: all of them, or every second, fourth, ... one, counted from the first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._step, self._seen, self._rows = 1, 0, 0
        self._parts: list[npt.NDArray[Any]] = []

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Add the next rows of the stream, (n, ...)."""
        kept = rows[-self._seen % self._step :: self._step].copy()
        self._seen += len(rows)
        self._rows += len(kept)
        self._parts.append(kept)
        while self._rows > self._most:
            self._parts = [self.rows[::2]]
            self._rows, self._step = len(self._parts[0]), 2 * self._step

    @property
    def rows(self) -> npt.NDArray[Any]:
        """Return the kept rows in their order, (at most `most`, ...); there must have been one."""
        return np.concatenate(self._parts)
