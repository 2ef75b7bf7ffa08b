"""Create the service as one ASGI app: its parts, its routes and its lifespan.

This is the only module that knows all parts. It must not know sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import Any

from fastapi import FastAPI

from app.api import error_responses
from app.api.asgi import BodyLimits, Edge
from app.api.openapi import document
from app.api.prefix import Prefixes
from app.api.routes import datasets, models, oip, operations, predict, train
from app.api.routes.oip_infer import InferRoute
from app.api.standstill import Standstill
from app.datasets.store import DatasetStore
from app.inference.codecs import formats
from app.inference.dataplane import DataPlane
from app.inference.offload import OffloadThread
from app.inference.pipeline import Pipeline
from app.jobs.inspection import Inspector
from app.jobs.records import Ending
from app.jobs.runner import JobRunner
from app.lifecycle import Lifetime, run_in_background
from app.registry import watcher
from app.registry.loader import Loader
from app.registry.registry import ModelRegistry
from app.registry.store import read_signing_key
from app.runtime import load as runtime
from app.security.admission import RequestAdmission, create_admission
from app.security.audit.requests import Auditor
from app.security.audit.trail import AuditTrail
from app.security.audit.watch import Watch
from app.security.permissions import INFER, INFER_VERSION, PREDICT
from app.settings import Settings
from app.telemetry.exposition import Exposition
from app.telemetry.logs.requests import RequestLog
from app.telemetry.metric_families import ModelState
from app.telemetry.metrics import ServingMetrics
from app.telemetry.multiprocess import SharedFigures, WorkerFigures
from app.telemetry.tracing import Tracing, create_tracing
from modelstore import Manifest, ModelRepository

logger = logging.getLogger(__name__)


def create_app(settings: Settings, trial: runtime.Trial = runtime.no_trial) -> Edge:
    """Create the service as an ASGI app; nothing is opened or loaded before its lifespan starts.

    Args:
        settings: the settings of the service.
        trial: loads each version somewhere else first, such as in another process; the default trusts every version.

    Raises:
        ConfigurationError: if the device is not available, a key file or the proxy settings cannot be used, or other
            machines could use the service without keys although no setting allows it.
    """
    service = _assemble(settings, trial)
    negotiation = predict.Negotiation(service.pipeline, settings.max_answer_bytes_waiting)
    infer_route = InferRoute(service.pipeline)
    app = _create_api(service, negotiation)
    service.admission.table.require_all_of(document.routes_of(app))
    own = {template.split("/")[1] for template in service.admission.table.routes}
    return Edge(
        app,
        handlers={PREDICT: negotiation.serve, INFER: infer_route.serve, INFER_VERSION: infer_route.serve},
        parameters=frozenset(document.query_names(app)),
        pipeline=service.pipeline,
        metrics=service.metrics,
        limits=BodyLimits(
            whole=settings.max_body_bytes,
            streamed=settings.max_stream_bytes,
            streamed_types=frozenset(formats.readers()),
            held=settings.max_bytes_held,
        ),
        admission=service.admission,
        prefixes=Prefixes(settings.root_path, settings.trusted_proxies, own),
        auditor=Auditor(service.trail, service.watch, service.registry.stored.digest),
        request_log=RequestLog() if settings.access_log else None,
        tracing=service.tracing,
        lifetime=service.lifetime,
    )


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one service; nothing is shared with another service in the same process."""

    settings: Settings
    device: str
    lifetime: Lifetime
    metrics: ServingMetrics
    tracing: Tracing | None
    admission: RequestAdmission
    registry: ModelRegistry
    inspector: Inspector
    datasets: DatasetStore
    runner: JobRunner
    figures: WorkerFigures
    pipeline: Pipeline
    trail: AuditTrail
    watch: Watch


def _assemble(settings: Settings, trial: runtime.Trial) -> Service:
    """Create and connect the parts; nothing is opened or loaded yet."""
    lifetime, metrics, tracing = Lifetime(), ServingMetrics(), create_tracing(os.environ)
    admission = create_admission(settings, metrics)
    device = runtime.choose_device(settings.device)
    load = partial(runtime.load, device=device, trial=trial, lost=lifetime.lose_device)
    repository = ModelRepository(settings.models_dir, read_signing_key(settings))
    loader = Loader(load, settings.max_loaded_versions)
    registry = ModelRegistry(
        repository, loader, runtime.prove_again, strict=settings.strict_readiness, note=metrics.count_swap
    )
    inspector = Inspector(settings)
    stored = DatasetStore(settings.datasets_dir, settings.max_dataset_bytes, inspector)
    ended = partial(_count_job, metrics, tracing)
    # A training that begins while the service stops would be interrupted; left queued, the next process runs it.
    runner = JobRunner(settings, repository, stored, registry.refresh, ended, may_begin=lambda: not lifetime.unready)
    plane = DataPlane(registry, metrics, max_queue_rows=settings.max_queue_rows, max_wait_s=settings.max_batch_wait_s)
    shared = settings.metrics_dir
    trail = AuditTrail(settings.audit_file or settings.state_dir / "audit.jsonl")
    return Service(
        settings=settings,
        device=device,
        lifetime=lifetime,
        metrics=metrics,
        tracing=tracing,
        admission=admission,
        registry=registry,
        inspector=inspector,
        datasets=stored,
        runner=runner,
        figures=SharedFigures(metrics, plane.queued, shared) if shared else WorkerFigures(metrics, plane.queued),
        pipeline=Pipeline(plane, OffloadThread(), settings.max_rows),
        trail=trail,
        watch=Watch(trail, partial(_describe_models, registry), admission.authenticator.describe_keys),
    )


def _create_api(service: Service, negotiation: predict.Negotiation) -> FastAPI:
    """Create the FastAPI app with all routes and error handlers."""
    app = FastAPI(
        title="Tabserve",
        version=metadata.version("tabserve"),
        description=document.DESCRIPTION,
        lifespan=lambda _app: _lifespan(service),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"auto_configure": False, "tracing": False},  # app/telemetry/tracing.py traces all requests
    )
    exposition = Exposition(
        service.figures,
        models=partial(_describe_models, service.registry),
        trainings=service.runner.count_unfinished,
        keys_current=lambda: service.admission.authenticator.keys_current,
        queue_limit_rows=service.settings.max_queue_rows,
    )
    for router in (
        predict.router(negotiation),
        models.router(service.registry, service.device, service.runner.require_idle),
        datasets.router(service.datasets, service.runner.datasets_in_use),
        train.router(service.runner, service.lifetime.stopping),
        operations.router(service.registry, exposition, service.device, service.lifetime),
        oip.router(service.registry, service.figures, app.version, service.lifetime),
        document.router(app),
    ):
        app.router.routes.extend(router.routes)  # include_router would build each route a second time
    authenticator = service.admission.authenticator
    document.install(
        app, partial(_manifests, service.registry), authenticator.anonymous_scopes if authenticator.keyed else None
    )
    error_responses.install(app)
    return app


@contextlib.asynccontextmanager
async def _lifespan(service: Service) -> AsyncIterator[None]:
    """Open and load all parts, run the background tasks, and close all parts at the end."""
    runtime.use_one_thread()
    runtime.use_full_float32()
    logger.info("models run on %s", runtime.describe_device(service.device))
    if service.tracing:
        service.tracing.open(os.environ)
    await asyncio.gather(service.runner.open(), service.datasets.open(), watcher.look(service.registry))
    for model in service.registry.models():
        if model.loaded:
            service.pipeline.warm_up(model.loaded)
    if isinstance(service.figures, SharedFigures):
        service.figures.inherit()
    service.trail.note("service.start", "ok")
    async with run_in_background(_background_work(service)):
        yield
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
        "keys": admission.authenticator.keep_current(),
        "standstill": standstill.keep_watch(),
        "audit": service.watch.keep(),
    }
    if isinstance(service.figures, SharedFigures):
        work["figures"] = service.figures.keep_written()
    return work


def _manifests(registry: ModelRegistry) -> Iterator[Manifest]:
    return (model.loaded.manifest for model in registry.models() if model.loaded)


def _count_job(metrics: ServingMetrics, tracing: Tracing | None, ending: Ending) -> None:
    metrics.count_job(ending.reason, ending.ran_s)
    if tracing and ending.job and ending.ran_s is not None:
        job = ending.job
        attributes = {"model": job.model, "job": job.id, "request_id": job.request_id or "", "reason": ending.reason}
        tracing.record_training(ending.ran_s, {f"tabserve.{name}": value for name, value in attributes.items()})


def _describe_models(registry: ModelRegistry) -> Iterator[ModelState]:
    return (model.describe() for model in registry.models())
