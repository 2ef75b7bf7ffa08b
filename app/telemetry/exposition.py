"""Show the metrics of all workers in the Prometheus text format.

The state of models, trainings and keys comes from callables; this module must not know where it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from app.telemetry.metric_families import DRIFT, FAMILIES
from app.telemetry.metrics import COUNTED, OF_NOW, Snapshot
from app.telemetry.model_metrics import ModelState, of_models, of_versions
from app.telemetry.multiprocess import WorkerFigures
from app.telemetry.prometheus import Labels, Samples, lines, process_lines


class Exposition:
    """The text of `GET /metrics`."""

    def __init__(
        self,
        figures: WorkerFigures,
        *,
        models: Callable[[], Iterable[ModelState]],
        trainings: Callable[[], Mapping[str, int]],
        keys_current: Callable[[], bool],
        queue_limit_rows: int,
    ) -> None:
        """Create the page; its sources are read for every request."""
        self._figures = figures
        self._models = models
        self._trainings = trainings
        self._keys_current = keys_current
        self._queue_limit_rows = queue_limit_rows

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format, summed over all workers."""
        samples = self._samples()
        shown = [line for name, family in FAMILIES.items() for line in lines(name, family, samples.get(name, {}))]
        return "\n".join([*shown, *process_lines(), ""]).encode()

    def drift(self) -> dict[Labels, float]:
        """Return the drift index of each model and column with enough rows."""
        total = _sum(self._figures.of_all_workers())
        return {labels: index for labels, (index,) in of_models(self._models(), total).get(DRIFT, {}).items()}

    def _samples(self) -> dict[str, Samples]:
        total = _sum(self._figures.of_all_workers())
        own: dict[str, Samples] = {
            "tabserve_queue_limit_rows": {(): [self._queue_limit_rows]},
            "tabserve_train_jobs_unfinished": {(status,): [jobs] for status, jobs in self._trainings().items()},
            "tabserve_keys_file_ok": {(): [float(self._keys_current())]},
        }
        held: dict[str, Samples] = {name: total[name] for name in (*COUNTED, *OF_NOW)}
        return held | own | of_versions(total) | of_models(self._models(), total)


def _sum(snapshots: Iterable[Snapshot]) -> Snapshot:
    total: Snapshot = {}
    for snapshot in snapshots:
        for name, family in snapshot.items():
            sums = total.setdefault(name, {})
            for labels, figures in list(family.items()):
                known = sums.get(labels)
                sums[labels] = [*figures] if known is None else [a + b for a, b in zip(known, figures, strict=True)]
    return total
