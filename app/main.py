"""Create the service as one ASGI app: its routes, and what stands before them.

It must not know sockets, or how the parts behind the routes are connected.
"""

from __future__ import annotations

from importlib import metadata

from fastapi import FastAPI

from app.api import error_handlers
from app.api.asgi import BodyLimits, Edge
from app.api.console import files as console
from app.api.openapi import document, page
from app.api.prefix import Prefixes
from app.api.readable import PRETTY, Readable
from app.api.routes import cards, datasets, feedback, models, oip, operations, overview, predict, shadow, train
from app.api.routes.oip_infer import InferRoute
from app.api.routing import TableRouter
from app.feedback.promotion import Promotions
from app.inference.codecs import formats
from app.runtime.trial import Trial, no_trial
from app.security.audit.requests import Auditor
from app.security.permissions import Routes
from app.service import Service, assemble, run_service
from app.settings import Settings
from app.telemetry.logs.requests import RequestLog


def create_app(settings: Settings, trial: Trial = no_trial) -> Edge:
    """Create the service as an ASGI app; nothing is opened or loaded before its lifespan starts.

    Args:
        settings: the settings of the service.
        trial: loads each version somewhere else first, such as in another process; the default trusts every version.

    Raises:
        ConfigurationError: if the device is not available, a key file or the proxy settings cannot be used, or other
            machines could use the service without keys although no setting allows it.
    """
    service = assemble(settings, trial)
    negotiation = predict.Negotiation(service.pipeline, settings.max_answer_bytes_waiting)
    infer_route = InferRoute(service.pipeline)
    app = _create_api(service, negotiation)
    service.admission.table.require_all_of(document.routes_of(app))
    own = {template.split("/")[1] for template in service.admission.table.routes}
    return Edge(
        Readable(app),
        handlers={
            Routes.PREDICT: negotiation.serve,
            Routes.INFER: infer_route.serve,
            Routes.INFER_WITH_VERSION: infer_route.serve,
        },
        parameters=frozenset((*document.query_names(app), PRETTY)),
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


def _create_api(service: Service, negotiation: predict.Negotiation) -> FastAPI:
    """Create the FastAPI app with all routes and error handlers."""
    app = FastAPI(
        title="Tabserve",
        version=metadata.version("tabserve"),
        description=document.DESCRIPTION,
        lifespan=lambda _app: run_service(service),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"auto_configure": False, "tracing": False},  # app/telemetry/tracing.py traces all requests
    )
    authenticator = service.admission.authenticator
    for router in _create_routers(service, negotiation, app):
        app.router.routes.extend(router.routes)  # include_router would build each route a second time
    document.install(
        app,
        lambda: (model.loaded.manifest for model in service.registry.models() if model.loaded),
        authenticator.anonymous_scopes if authenticator.keyed else None,
    )
    error_handlers.install(app)
    return app


def _create_routers(service: Service, negotiation: predict.Negotiation, app: FastAPI) -> tuple[TableRouter, ...]:
    """Create the routes of each subject."""
    promotions = Promotions(service.runner, service.registry, service.trail.note)
    labels = feedback.FeedbackRoutes(
        service.runner,
        service.feedback,
        service.registry,
        service.figures,
        service.metrics,
        promotions=promotions,
        is_shared=service.settings.database_url is not None,
    )
    return (
        predict.router(negotiation),
        models.router(service.registry, service.device, service.runner.require_idle),
        shadow.router(service.registry, promotions),
        cards.router(service.registry, labels.live),
        datasets.router(service.datasets, service.runner.datasets_in_use),
        feedback.router(labels),
        train.router(service.runner, service.lifetime.stopping),
        operations.router(service.registry, service.exposition, service.device, service.lifetime),
        overview.router(
            service.settings,
            service.registry,
            service.admission.authenticator,
            trail=service.trail,
            figures=service.figures,
            history=service.drift,
        ),
        oip.router(service.registry, service.figures, app.version, service.lifetime),
        document.router(app),
        page.router(),
        console.router(),
    )
