"""Puts the parts together: the only place that knows all of them; no state lives outside the app that it makes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from functools import partial
from importlib import metadata

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app import runtime
from app.access.door import Door, door_for
from app.api import datasets, errors, models, oip, openapi, ops, predict, train
from app.api.oip_infer import InferRoute
from app.codecs import formats
from app.dataplane import DataPlane
from app.datasets import DatasetStore
from app.edge import BodyLimits, Edge
from app.figures import SharedFigures
from app.inference import Inference
from app.inspection import Inspector
from app.jobs.runner import JobRunner
from app.metrics import Active, ServingMetrics
from app.predictor import Predictor
from app.registry import ModelRegistry
from app.settings import Settings
from modelstore import Manifest, ModelRepository

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Small classifiers, trained and served. `instances` is a list of rows, each an array in feature order or an object "
    "by feature name; the answer has a label and a probability for every class. Errors are RFC 9457 problem details."
)


def create_app(settings: Settings, trial: runtime.Trial = runtime.no_trial) -> Edge:
    """Return the service as an ASGI app; nothing is opened or loaded before its lifespan starts.

    Args:
        settings: of the service.
        trial: where a version is loaded first, if anywhere.

    Raises:
        ConfigurationError: if the device of the settings is not available, or the service would be open to strangers.
    """
    metrics = ServingMetrics(lambda: _active(registry))
    door = door_for(settings, metrics)
    device = runtime.choose_device(settings.device)
    logger.info("models run on %s", runtime.describe_device(device))
    load = partial(runtime.load, device=device, trial=trial)
    repository = ModelRepository(settings.models_dir)
    registry = ModelRegistry(repository, load, settings.max_loaded_versions)
    kept = DatasetStore(settings.datasets_dir, settings.max_dataset_bytes, Inspector(settings))
    runner = JobRunner(settings, repository, kept, registry.refresh, metrics.job_ended)
    metrics.trainings = runner.unfinished
    stopping = asyncio.Event()
    plane = DataPlane(registry, metrics, max_queue_rows=settings.max_queue_rows, max_wait_s=settings.max_batch_wait_s)
    predictor = Predictor(plane)
    inference = Inference(plane)
    infer_route = InferRoute(inference)
    app = FastAPI(
        title="Tabserve",
        version=metadata.version("tabserve"),
        description=DESCRIPTION,
        lifespan=lambda _app: _running(
            settings, registry, runner, kept, metrics=metrics, answering=(predictor, inference), door=door
        ),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    negotiation = predict.Negotiation(predictor, settings.max_answer_bytes_waiting)
    app.include_router(predict.router(negotiation))
    app.include_router(models.router(registry, device))
    app.include_router(datasets.router(kept, runner.datasets_in_use))
    app.include_router(train.router(runner, stopping))
    app.include_router(ops.router(registry, metrics, device))
    app.include_router(oip.router(registry, metrics, infer_route, app.version))
    app.include_router(openapi.router(app))
    openapi.install(app, partial(_manifests, registry))
    errors.install(app)
    door.table.require_all_of(_served(app))
    limits = BodyLimits(settings.max_body_bytes, settings.max_stream_bytes, frozenset(formats.readers()))
    return Edge(
        app,
        predict=negotiation.serve,
        infer=infer_route.serve,
        predictor=predictor,
        metrics=metrics,
        route_templates=_route_templates(app),
        limits=limits,
        door=door,
        stopping=stopping,
    )


@contextlib.asynccontextmanager
async def _running(
    settings: Settings,
    registry: ModelRegistry,
    runner: JobRunner,
    kept: DatasetStore,
    *,
    metrics: ServingMetrics,
    answering: tuple[Predictor, Inference],
    door: Door,
) -> AsyncIterator[None]:
    """Open and load everything, keep looking at the store, and stop and close everything."""
    runtime.use_one_thread()
    runtime.use_full_float32()
    await asyncio.gather(runner.open(), kept.open(), registry.refresh())
    for model in registry.served():
        if model.loaded:
            for service in answering:
                service.rehearse(model.loaded)
    tasks = [asyncio.create_task(_watch(registry, settings.poll_interval_s), name="store watcher")]
    tasks.append(asyncio.create_task(door.gate.keep_current(), name="keys"))
    if settings.metrics_dir:
        shared = SharedFigures(settings.metrics_dir, metrics)
        metrics.others = shared.others
        tasks.append(asyncio.create_task(shared.keep_written(), name="figures"))
    yield
    for task in tasks:
        task.cancel()
    await runner.close()
    registry.close()


async def _watch(registry: ModelRegistry, interval_s: float) -> None:
    """Look at the store for ever; a look that fails is logged, and the next one comes all the same."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await registry.refresh()
        except Exception:
            logger.exception("the model store could not be looked at")


def _served(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield method and full path template of every route."""
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            yield method, str(route.path_format)


def _route_templates(app: FastAPI) -> dict[object, str]:
    """Return endpoint to full route template; FastAPI's `scope["route"].path` lacks the prefix of included routers."""
    contexts = [route for route in iter_route_contexts(app.routes) if route.path_format]
    return {route.endpoint: str(route.path_format) for route in reversed(contexts)}


def _active(registry: ModelRegistry) -> Iterator[Active]:
    for model in registry.served():
        if model.loaded:
            yield model.loaded.manifest, model.loaded.contract.version, model.loaded.device


def _manifests(registry: ModelRegistry) -> Iterator[Manifest]:
    return (manifest for manifest, _, _ in _active(registry))
