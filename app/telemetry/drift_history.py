"""Remember the drift of each column over the last day, in memory; a restart begins anew."""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from app.telemetry.prometheus import Labels

INTERVAL_S = 600.0
KEPT = 144  # looks: a day

Indices = Mapping[Labels, float]
"""Population stability index by model and column."""


class DriftHistory:
    """Looks at the drift of all models every ten minutes; 8 bytes a column and look."""

    def __init__(self, indices: Callable[[], Indices]) -> None:
        """Create it; `indices` returns those of this moment, without columns of which too few rows came."""
        self._indices = indices
        self._times: list[datetime] = []
        self._values: dict[Labels, array[float]] = {}  # one for each time, NaN for none

    async def keep(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(INTERVAL_S)

    def look(self) -> None:
        """Remember the indices of this moment, if there are any; those of a day ago are forgotten."""
        indices = self._indices()
        if not indices:
            return
        before = len(self._times)
        self._times = [*self._times, datetime.now(UTC)][-KEPT:]
        for labels in {*self._values, *indices}:
            values = self._values.setdefault(labels, array("d", [math.nan] * before))
            values.append(indices.get(labels, math.nan))
            del values[:-KEPT]
            if all(map(math.isnan, values)):
                del self._values[labels]

    def of(self, model: str) -> tuple[list[datetime], dict[str, list[float | None]]]:
        """Return the times of the looks and of now, and the indices of a model's columns at each of them."""
        now = self._indices()
        labels = sorted(each for each in {*self._values, *now} if each[0] == model)
        none = array("d", [math.nan] * len(self._times))
        columns = {each[1]: [*self._values.get(each, none), now.get(each, math.nan)] for each in labels}
        times = [*self._times, datetime.now(UTC)]
        known = [place for place in range(len(times)) if not all(math.isnan(one[place]) for one in columns.values())]
        shown = {name: [_without_nan(values[place]) for place in known] for name, values in columns.items()}
        return [times[place] for place in known], shown


def _without_nan(index: float) -> float | None:
    return None if math.isnan(index) else index
