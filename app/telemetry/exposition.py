"""Render all metrics for Prometheus: the counts of all workers, and gauges read from their sources.

This module counts nothing, and must not import an HTTP framework or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from app.telemetry.metric_families import FAMILIES, ModelState, of_models, of_versions
from app.telemetry.metrics import COUNTED, OF_NOW, ServingMetrics, Snapshot
from app.telemetry.prometheus import Samples, lines, process_lines


@dataclass(frozen=True, slots=True)
class Gauges:
    """Values that are read when metrics are rendered.

    Attributes:
        models: returns the state of each model.
        trainings: returns the number of waiting and running trainings, by status.
        queued: returns the number of waiting rows, by model.
        keys_current: returns whether the keys in use are those of the key file.
        queue_limit_rows: number of rows that may wait for a version.
    """

    models: Callable[[], Iterable[ModelState]] = tuple
    trainings: Callable[[], Mapping[str, int]] = dict
    queued: Callable[[], Mapping[str, int]] = dict
    keys_current: Callable[[], bool] = lambda: True
    queue_limit_rows: int = 0


class Exposition:
    """All metrics of the service, as this worker sees them."""

    def __init__(
        self,
        metrics: ServingMetrics,
        gauges: Gauges | None = None,
        others: Callable[[], Iterable[Snapshot]] = tuple,
    ) -> None:
        """Create the view.

        Args:
            metrics: counts of this worker.
            gauges: sources of the values that are not counted.
            others: returns the snapshots of all other workers.
        """
        self._metrics = metrics
        self._gauges = gauges or Gauges()
        self._others = others

    def snapshots(self) -> list[Snapshot]:
        """Return the figures of each worker, this one first."""
        return [self._metrics.snapshot(self._gauges.queued()), *self._others()]

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format, summed over all workers."""
        samples = self._samples()
        shown = [line for name, family in FAMILIES.items() for line in lines(name, family, samples.get(name, {}))]
        return "\n".join([*shown, *process_lines(), ""]).encode()

    def _samples(self) -> dict[str, Samples]:
        total, gauges = _sum(self.snapshots()), self._gauges
        own: dict[str, Samples] = {
            "tabserve_queue_limit_rows": {(): [gauges.queue_limit_rows]},
            "tabserve_train_jobs_unfinished": {(status,): [jobs] for status, jobs in gauges.trainings().items()},
            "tabserve_keys_file_ok": {(): [float(gauges.keys_current())]},
        }
        counted: dict[str, Samples] = {name: total[name] for name in (*COUNTED, *OF_NOW)}
        return counted | own | of_versions(total) | of_models(gauges.models(), total)


def _sum(snapshots: Iterable[Snapshot]) -> Snapshot:
    total: Snapshot = {}
    for snapshot in snapshots:
        for name, family in snapshot.items():
            sums = total.setdefault(name, {})
            for labels, figures in list(family.items()):
                known = sums.get(labels)
                sums[labels] = [*figures] if known is None else [a + b for a, b in zip(known, figures, strict=True)]
    return total
