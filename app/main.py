"""Create the service as an ASGI app: its routes and its lifespan.

This module must not know sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from importlib import metadata

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.api import errors
from app.api.asgi import BodyLimits, Edge
from app.api.openapi import document
from app.api.prefix import Prefixes
from app.api.routes import datasets, models, oip, operations, predict, train
from app.api.routes.oip_infer import InferRoute
from app.api.standstill import Standstill
from app.container import Parts, assemble
from app.errors import ServingError
from app.inference.codecs import formats
from app.registry.registry import ModelRegistry
from app.runtime import load as runtime
from app.security.audit.requests import Auditor
from app.settings import Settings
from app.telemetry.logs.requests import RequestLog
from modelstore import Manifest, StoreError

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Small classifiers, trained and served. `instances` is a list of rows, each an array in feature order or an object "
    "by feature name; the answer has a label and a probability for every class. Errors are RFC 9457 problem details."
)


def create_app(settings: Settings, trial: runtime.Trial = runtime.no_trial) -> Edge:
    """Create the service as an ASGI app; nothing is opened or loaded before its lifespan starts.

    Args:
        settings: the settings of the service.
        trial: loads each version somewhere else first, such as in another process; the default trusts every version.

    Raises:
        ConfigurationError: if the device is not available, a key file or the proxy settings cannot be used, or other
            machines could use the service without keys although no setting allows it.
    """
    parts = assemble(settings, trial)
    negotiation = predict.Negotiation(parts.predictor, parts.bulk, settings.max_answer_bytes_waiting)
    infer_route = InferRoute(parts.inference)
    app = _routes(parts, negotiation, infer_route)
    parts.door.table.require_all_of(_served(app))
    own = {template.split("/")[1] for template in parts.door.table.routes}
    return Edge(
        app,
        predict=negotiation.serve,
        infer=infer_route.serve,
        predictor=parts.predictor,
        metrics=parts.metrics,
        route_templates=_route_templates(app),
        limits=BodyLimits(
            whole=settings.max_body_bytes,
            streamed=settings.max_stream_bytes,
            streamed_types=frozenset(formats.readers()),
            held=settings.max_bytes_held,
        ),
        door=parts.door,
        prefixes=Prefixes(settings.root_path, settings.trusted_proxies, own),
        auditor=Auditor(parts.trail, parts.watch, partial(_digest, parts.registry)),
        request_log=RequestLog() if settings.access_log else None,
        tracing=parts.tracing,
        lifetime=parts.lifetime,
    )


def _routes(parts: Parts, negotiation: predict.Negotiation, infer_route: InferRoute) -> FastAPI:
    """Create the FastAPI app with all routes and error handlers."""
    app = FastAPI(
        title="Tabserve",
        version=metadata.version("tabserve"),
        description=DESCRIPTION,
        lifespan=lambda _app: _running(parts),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={
            "auto_configure": False,
            "tracing": False,
        },  # app/telemetry/tracing.py also traces requests that never reach FastAPI
    )
    app.include_router(predict.router(negotiation))
    app.include_router(models.router(parts.registry, parts.device))
    app.include_router(datasets.router(parts.datasets, parts.runner.datasets_in_use))
    app.include_router(train.router(parts.runner, parts.lifetime.stopping))
    app.include_router(operations.router(parts.registry, parts.exposition, parts.device, parts.lifetime))
    app.include_router(oip.router(parts.registry, parts.exposition, infer_route, app.version, parts.lifetime))
    app.include_router(document.router(app))
    gate = parts.door.gate
    document.install(app, partial(_manifests, parts.registry), gate.strangers if gate.keyed else None)
    errors.install(app)
    return app


@contextlib.asynccontextmanager
async def _running(parts: Parts) -> AsyncIterator[None]:
    """Open and load all parts, run the background tasks, and close all parts at the end."""
    runtime.use_one_thread()
    runtime.use_full_float32()
    logger.info("models run on %s", runtime.describe_device(parts.device))
    if parts.tracing:
        parts.tracing.open(os.environ)
    await asyncio.gather(parts.runner.open(), parts.datasets.open(), _look(parts.registry))
    for model in parts.registry.served():
        if model.loaded:
            parts.predictor.rehearse(model.loaded)
            parts.inference.rehearse(model.loaded)
    if parts.shared:
        parts.shared.inherit()
    parts.trail.note("service.start", "ok")
    async with _background_tasks(parts):
        yield
    await parts.runner.close()
    parts.registry.close()
    parts.watch.tell_refusals()
    parts.trail.note("service.stop", "ok")
    await parts.trail.close()
    if parts.tracing:
        await parts.tracing.close()


@contextlib.asynccontextmanager
async def _background_tasks(parts: Parts) -> AsyncIterator[None]:
    """Run all background tasks meanwhile; the failure of one is logged and does not stop the others or the service.

    That is why this is no TaskGroup, which cancels everything when one of its tasks fails.
    """
    settings, registry = parts.settings, parts.registry
    standstill = Standstill(parts.metrics, parts.door.table, parts.door.max_in_flight, parts.lifetime)
    work = {
        "store watcher": _watch(registry, settings.poll_interval_s),
        "self test": registry.keep_tested(settings.self_test_interval_s),
        "keys": parts.door.gate.keep_current(),
        "standstill": standstill.keep_watch(),
        "audit": parts.watch.keep(),
    }
    if parts.shared:
        work["figures"] = parts.shared.keep_written()
    tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in work.items()]
    for task in tasks:
        task.add_done_callback(_log_failure)
    yield
    for task in tasks:
        task.cancel()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("the background task %r failed", task.get_name(), exc_info=error)


async def _watch(registry: ModelRegistry, interval_s: float) -> None:
    """Refresh the registry from the store at every interval, forever."""
    trouble = None
    while True:
        await asyncio.sleep(interval_s)
        trouble = await _look(registry, trouble)


async def _look(registry: ModelRegistry, known: str | None = None) -> str | None:
    """Refresh the registry from the store; if that fails, the loaded versions go on serving.

    Returns:
        Message of a failure to list the store, or None. A failure equal to `known` is not logged again.
    """
    trouble = None
    try:
        await registry.refresh()
    except OSError as error:
        trouble = str(error)
        if trouble != known:
            logger.error("the models folder cannot be listed: %s", error)
    except Exception:
        logger.exception("the model store could not be looked at")
    return trouble


def _served(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield the method and the full path template of every route."""
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            yield method, str(route.path_format)


def _route_templates(app: FastAPI) -> dict[object, str]:
    """Map each endpoint to its full route template.

    FastAPI's `scope["route"].path` lacks the prefix of included routers.
    """
    contexts = [route for route in iter_route_contexts(app.routes) if route.path_format]
    return {route.endpoint: str(route.path_format) for route in reversed(contexts)}


def _digest(registry: ModelRegistry, model: str, version: str) -> str | None:
    """Return the sha256 in a version's manifest, or None if the version does not exist or cannot be read."""
    try:
        return registry.stored.find(model, int(version)).manifest().sha256
    except (ValueError, OSError, ServingError, StoreError):
        return None


def _manifests(registry: ModelRegistry) -> Iterator[Manifest]:
    return (model.loaded.manifest for model in registry.served() if model.loaded)
