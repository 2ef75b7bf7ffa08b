"""Create and connect the parts of one service, each after the parts that it needs.

This module must not know routes or ASGI.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from app.datasets.store import DatasetStore
from app.inference.bulk_predictor import BulkPredictor
from app.inference.dataplane import DataPlane
from app.inference.offload import Aside
from app.inference.oip import Inference
from app.inference.predictor import Predictor
from app.jobs.inspection import Inspector
from app.jobs.records import Ending
from app.jobs.runner import JobRunner
from app.lifecycle import Lifetime
from app.registry.loader import Loader
from app.registry.registry import ModelRegistry
from app.registry.store import read_signing_key
from app.runtime import load as runtime
from app.security.admission import Door, door_for
from app.security.audit.trail import AuditTrail
from app.security.audit.watch import Serving, Watch
from app.settings import Settings
from app.telemetry.exposition import Exposition, Gauges
from app.telemetry.metric_families import ModelState, ServingVersion
from app.telemetry.metrics import ServingMetrics
from app.telemetry.multiprocess import SharedFigures
from app.telemetry.tracing import Tracing, tracing_for
from modelstore import ModelRepository

AUDIT_FILE = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one service; nothing is shared with another service in the same process."""

    settings: Settings
    device: str
    metrics: ServingMetrics
    shared: SharedFigures | None
    exposition: Exposition
    door: Door
    registry: ModelRegistry
    datasets: DatasetStore
    runner: JobRunner
    predictor: Predictor
    bulk: BulkPredictor
    inference: Inference
    trail: AuditTrail
    watch: Watch
    lifetime: Lifetime
    tracing: Tracing | None


def assemble(settings: Settings, trial: runtime.Trial) -> Parts:
    """Create and connect the parts; nothing is opened or loaded yet.

    Args and Raises as in `app.main.create_app`.
    """
    lifetime, metrics, tracing = Lifetime(), ServingMetrics(), tracing_for(os.environ)
    door = door_for(settings, metrics)
    device = runtime.choose_device(settings.device)
    load = partial(runtime.load, device=device, trial=trial, lost=lifetime.lose_device)
    repository = ModelRepository(settings.models_dir, read_signing_key(settings))
    loader = Loader(load, settings.max_loaded_versions)
    registry = ModelRegistry(
        repository, loader, runtime.prove_again, strict=settings.strict_readiness, note=metrics.count_swap
    )
    kept = DatasetStore(settings.datasets_dir, settings.max_dataset_bytes, Inspector(settings))
    ended = partial(_job_ended, metrics, tracing)
    # A training that begins while the service stops would be interrupted; left queued, the next process runs it.
    runner = JobRunner(settings, repository, kept, registry.refresh, ended, may_begin=lambda: not lifetime.unready)
    plane = DataPlane(registry, metrics, max_queue_rows=settings.max_queue_rows, max_wait_s=settings.max_batch_wait_s)
    shared = SharedFigures(settings.metrics_dir, metrics, plane.queued) if settings.metrics_dir else None
    aside = Aside()
    trail = AuditTrail(settings.audit_file or settings.state_dir / AUDIT_FILE)
    return Parts(
        settings=settings,
        device=device,
        metrics=metrics,
        shared=shared,
        exposition=Exposition(
            metrics, _gauges(settings, door, registry, runner, plane), shared.others if shared else tuple
        ),
        door=door,
        registry=registry,
        datasets=kept,
        runner=runner,
        predictor=Predictor(plane, aside, settings.max_rows),
        bulk=BulkPredictor(plane),
        inference=Inference(plane, aside, settings.max_rows),
        trail=trail,
        watch=Watch(trail, partial(_serving, registry), lambda: (door.gate.generation, door.gate.keys_current)),
        lifetime=lifetime,
        tracing=tracing,
    )


def _gauges(settings: Settings, door: Door, registry: ModelRegistry, runner: JobRunner, plane: DataPlane) -> Gauges:
    return Gauges(
        models=partial(_states, registry),
        trainings=runner.unfinished,
        queued=plane.queued,
        keys_current=lambda: door.gate.keys_current,
        queue_limit_rows=settings.max_queue_rows,
    )


def _job_ended(metrics: ServingMetrics, tracing: Tracing | None, ending: Ending) -> None:
    metrics.count_job(ending.reason, ending.ran_s)
    if tracing and ending.job and ending.ran_s is not None:
        job = ending.job
        what = {"model": job.model, "job": job.id, "request_id": job.request_id or "", "reason": ending.reason}
        tracing.trained(ending.ran_s, {f"tabserve.{name}": value for name, value in what.items()})


def _states(registry: ModelRegistry) -> Iterator[ModelState]:
    for model in registry.served():
        loaded = model.loaded
        serving = None
        if loaded:
            serving = ServingVersion(loaded.manifest, loaded.contract.version, loaded.device, loaded.load_s)
        refused = Counter(refusal.reason for refusal in model.refused.values())
        yield ModelState(model.name, model.active, serving, refused)


def _serving(registry: ModelRegistry) -> Iterator[Serving]:
    for model in registry.served():
        loaded = model.loaded
        refused = {version: refusal.reason for version, refusal in model.refused.items()}
        yield Serving(model.name, model.serving, loaded.manifest.sha256 if loaded else None, refused)
