"""The parts of one service: created, connected, opened and closed.

This module must not know routes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.api.standstill import Standstill
from app.datasets.store import DatasetStore
from app.feedback.checking import FeedbackCheck
from app.feedback.keeping import Keeping
from app.inference.additions.choice import Shared
from app.inference.additions.explanation import Explainer
from app.inference.dataplane import DataPlane
from app.inference.offload import OffloadThread
from app.inference.pipeline import Pipeline
from app.inference.shadow import Keep, ShadowRunner
from app.inference.warm_up import warm_up
from app.jobs.inspection import Inspector
from app.jobs.records import Ending
from app.jobs.runner import JobRunner
from app.lifecycle import Lifetime, run_in_background
from app.receipts import ReceiptKeys, ShadowAnswer
from app.registry import watcher
from app.registry.loader import Loader
from app.registry.registry import ModelRegistry
from app.registry.state import ServedModel
from app.registry.store import read_signing_key
from app.runtime import devices
from app.runtime import load as runtime
from app.runtime.trial import Trial
from app.security.admission import RequestAdmission, create_admission
from app.security.audit.trail import AuditTrail
from app.security.audit.watch import Watch
from app.settings import Settings
from app.telemetry.drift_history import DriftHistory
from app.telemetry.exposition import Exposition
from app.telemetry.metrics import ServingMetrics
from app.telemetry.model_metrics import ModelState
from app.telemetry.multiprocess import SharedFigures, WorkerFigures
from app.telemetry.tracing import Tracing, create_tracing
from modelstore import ModelRepository


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one service; nothing is shared with another service in the same process."""

    settings: Settings
    device: str
    lifetime: Lifetime
    metrics: ServingMetrics
    feedback: FeedbackCheck
    keeping: Keeping
    tracing: Tracing | None
    admission: RequestAdmission
    registry: ModelRegistry
    inspector: Inspector
    datasets: DatasetStore
    runner: JobRunner
    figures: WorkerFigures
    exposition: Exposition
    drift: DriftHistory
    plane: DataPlane
    pipeline: Pipeline
    shadows: ShadowRunner
    trail: AuditTrail
    watch: Watch


def assemble(settings: Settings, trial: Trial) -> Service:
    """Create and connect the parts; nothing is opened or loaded yet."""
    lifetime, metrics, tracing = Lifetime(), ServingMetrics(), create_tracing(os.environ)
    admission = create_admission(settings, metrics)
    device, ended = devices.choose_device(settings.device), partial(_count_job, metrics, tracing)
    load = partial(runtime.load, device=device, trial=trial, lost=lifetime.lose_device, use_onnx=settings.onnx)
    signing = read_signing_key(settings)
    repository, keys = ModelRepository(settings.models_dir, signing), ReceiptKeys(signing, settings.state_dir)
    loader = Loader(load, settings.max_loaded_versions)
    registry = ModelRegistry(
        repository, loader, runtime.prove_again, strict=settings.strict_readiness, note=metrics.count_swap
    )
    inspector, trail = Inspector(settings), AuditTrail(settings.audit_file or settings.state_dir / "audit.jsonl")
    stored = DatasetStore(settings.datasets_dir, settings.max_dataset_bytes, inspector)
    # A training that begins while the service stops would be interrupted; left queued, the next process runs it.
    runner = JobRunner(settings, repository, stored, registry.refresh, ended, may_begin=lambda: not lifetime.unready)
    check = FeedbackCheck(keys, registry, settings.keep_feedback_days, settings.feedback_id_days)
    shadows = _create_shadows(settings, registry, metrics, partial(_keep_shadow_answers, runner, check))
    keeping = Keeping(settings, partial(runner.ask, runner.kept.add), metrics)
    plane = _create_plane(settings, registry, metrics, shadows)
    shared = Shared(Explainer(settings.max_explanation_rows), keys, keeping, shadows)
    figures = _create_figures(settings, metrics, plane)
    exposition = _create_exposition(settings, figures, registry, runner, admission)
    return Service(
        settings=settings,
        device=device,
        lifetime=lifetime,
        metrics=metrics,
        feedback=check,
        keeping=keeping,
        tracing=tracing,
        admission=admission,
        registry=registry,
        inspector=inspector,
        datasets=stored,
        runner=runner,
        figures=figures,
        exposition=exposition,
        drift=DriftHistory(exposition.drift),
        plane=plane,
        pipeline=Pipeline(plane, OffloadThread(), shared, settings.max_rows),
        shadows=shadows,
        trail=trail,
        watch=Watch(trail, partial(_describe_models, registry), admission.authenticator.describe_keys),
    )


def _create_shadows(settings: Settings, registry: ModelRegistry, metrics: ServingMetrics, keep: Keep) -> ShadowRunner:
    return ShadowRunner(
        registry.shadows,
        metrics.statistics,
        keep,
        max_queue_rows=settings.shadow_queue_rows,
        share=settings.shadow_share,
    )


def _create_plane(
    settings: Settings, registry: ModelRegistry, metrics: ServingMetrics, shadows: ShadowRunner
) -> DataPlane:
    return DataPlane(
        registry, metrics, max_queue_rows=settings.max_queue_rows, max_wait_s=settings.max_batch_wait_s, shadows=shadows
    )


def _create_figures(settings: Settings, metrics: ServingMetrics, plane: DataPlane) -> WorkerFigures:
    """Create the figures of this worker, or those that all workers share in a folder."""
    if settings.metrics_dir:
        return SharedFigures(metrics, plane.count_queued, settings.metrics_dir)
    return WorkerFigures(metrics, plane.count_queued)


def _create_exposition(
    settings: Settings, figures: WorkerFigures, registry: ModelRegistry, runner: JobRunner, admission: RequestAdmission
) -> Exposition:
    return Exposition(
        figures,
        models=partial(_describe_models, registry),
        trainings=runner.count_unfinished,
        keys_current=lambda: admission.authenticator.keys_current,
        queue_limit_rows=settings.max_queue_rows,
    )


def _describe_models(registry: ModelRegistry) -> Iterator[ModelState]:
    return map(ServedModel.describe, registry.models())


@contextlib.asynccontextmanager
async def run_service(service: Service) -> AsyncIterator[None]:
    """Open and load all parts, run the background tasks meanwhile, and close all parts at the end."""
    devices.prepare(service.device)
    if service.tracing:
        service.tracing.open(os.environ)
    await asyncio.gather(service.runner.open(), service.datasets.open(), watcher.look(service.registry))
    for model in service.registry.models():
        if model.loaded:
            warm_up(model.loaded)
    if isinstance(service.figures, SharedFigures):
        service.figures.inherit()
    service.trail.note("service.start", "ok")
    async with run_in_background(_background_work(service)):
        yield
    await service.keeping.close()
    await service.runner.close()
    await service.inspector.close()
    service.registry.close()
    service.watch.tell_refusals()
    service.trail.note("service.stop", "ok")
    await service.trail.close()
    if service.tracing:
        await service.tracing.close()


def _background_work(service: Service) -> dict[str, Coroutine[Any, Any, None]]:
    settings, admission = service.settings, service.admission
    standstill = Standstill(service.metrics, admission.table, admission.max_in_flight, service.lifetime)
    work: dict[str, Coroutine[Any, Any, None]] = {
        "store watcher": watcher.watch(service.registry, settings.poll_interval_s),
        "self test": watcher.keep_tested(service.registry, settings.self_test_interval_s),
        "inspector": service.inspector.keep_ready(),
        "queues": service.plane.keep_tidy(),
        "shadows": service.shadows.keep_computing(),
        "keys": admission.authenticator.keep_current(),
        "standstill": standstill.keep_watch(),
        "audit": service.watch.keep(),
        "drift": service.drift.keep(),
    }
    if isinstance(service.figures, SharedFigures):
        work["figures"] = service.figures.keep_written()
    return work


async def _keep_shadow_answers(runner: JobRunner, check: FeedbackCheck, answers: Sequence[ShadowAnswer]) -> None:
    await runner.ask(partial(runner.shadow_answers.keep, oldest_s=check.oldest_s(time.time())), answers)


def _count_job(metrics: ServingMetrics, tracing: Tracing | None, ending: Ending) -> None:
    metrics.count_job(ending.reason, ending.ran_s)
    if tracing and (job := ending.job) and ending.ran_s is not None:
        tracing.record_training(
            ending.ran_s, model=job.model, job=job.id, request_id=job.request_id or "", reason=ending.reason
        )
