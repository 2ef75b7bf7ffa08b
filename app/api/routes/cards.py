"""Routes of model cards, pictures and the artifact of a version.

This module must not know how a card is written.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from app.api.accept import choose_type
from app.api.bodies import JSON, read_json
from app.api.parameters import ModelPath, PlotPath, VersionPath
from app.api.prefix import link, prefix_of
from app.api.responses import FileResponse
from app.api.routing import TableRouter
from app.api.schemas.common import Document, json_body, problems, without_null
from app.api.schemas.feedback import LiveInfo, LiveQuery
from app.api.schemas.models import example_of
from app.cards.cyclonedx import write_bom
from app.cards.facts import CardFacts, LiveFigures
from app.cards.markdown import write_markdown
from app.cards.page import POLICY, write_page
from app.cards.sections import sections_of
from app.registry.registry import ModelRegistry
from app.security.permissions import Routes
from modelstore import CardStatements

HTML, MARKDOWN, PNG, BYTES = "text/html", "text/markdown", "image/png", "application/octet-stream"
TYPES = {"json": JSON, "html": HTML, "markdown": MARKDOWN}
FOR_AN_HOUR = "private, max-age=3600"  # a version never changes, but a store may be replaced as a whole

_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")

Format = Literal["json", "html", "markdown"]
Live = Callable[[str, int, LiveQuery], Awaitable[LiveInfo]]


class CardQuery(BaseModel, extra="forbid"):
    """The format of a card, whatever the Accept header says."""

    format: Annotated[Format | None, Field(json_schema_extra=without_null)] = None


class Plot(BaseModel):
    """A PNG file of a version, or a JSON file of what a plot shows."""

    name: str
    path: str


class PlotList(BaseModel):
    """The pictures of a version, and the data of its plots."""

    plots: list[Plot]
    data: list[Plot]


class CardRoutes:
    """Route handlers, one method each; their docstrings appear in the OpenAPI document."""

    def __init__(self, registry: ModelRegistry, live: Live) -> None:
        self._registry = registry
        self._live = live

    async def show(
        self, model: ModelPath, version: VersionPath, request: Request, query: Annotated[CardQuery, Query()]
    ) -> Response:
        """Show the model card of a version: CycloneDX 1.6 JSON, or HTML or Markdown by `Accept` or `format`."""
        kind = TYPES[query.format] if query.format else choose_type(request.headers.get("accept"), [*TYPES.values()])
        live = _live_of(await self._live(model, version, LiveQuery()))
        return await asyncio.to_thread(self._write, model, version, kind, _address(request), live)

    async def state(self, model: ModelPath, request: Request) -> CardStatements:
        """Replace what people state about a model, for the cards of all its versions; a field left out is not stated.

        A field that is not stated here shows what the training of the version stated.
        """
        statements = await read_json(request, CardStatements)
        await asyncio.to_thread(self._registry.stored.state, model, statements)
        return statements

    async def list_plots(self, model: ModelPath, version: VersionPath, request: Request) -> PlotList:
        """List the pictures of a version (confusion matrix, reliability, losses and others) and the data of plots."""
        stored, folder = self._registry.stored, link(request, Routes.LIST_PLOTS.path(model=model, version=version))

        def named(files: Iterable[str]) -> list[Plot]:
            """Return an entry for each file."""
            return [Plot(name=file.rpartition(".")[0], path=f"{folder}/{file}") for file in files]

        pictures = await asyncio.to_thread(stored.pictures, model, version)
        data = await asyncio.to_thread(stored.plot_data, model, version)
        return PlotList(plots=named(pictures), data=named(data))

    async def picture(self, model: ModelPath, version: VersionPath, plot: PlotPath, request: Request) -> Response:
        """Return a picture of a version as PNG."""
        return await self._plot(model, version, f"{plot}.png", PNG, request)

    async def plot_data(self, model: ModelPath, version: VersionPath, plot: PlotPath, request: Request) -> Response:
        """Return what a plot shows, as JSON: `reliability`, `residuals` or `partial_dependence`."""
        return await self._plot(model, version, f"{plot}.json", JSON, request)

    async def _plot(self, model: str, version: int, file: str, kind: str, request: Request) -> Response:
        data = await asyncio.to_thread(self._registry.stored.plot, model, version, file)
        headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "Cache-Control": FOR_AN_HOUR}
        if _has(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)

    async def artifact(self, model: ModelPath, version: VersionPath, request: Request) -> Response:
        """Return `model.pt` of a version as it was published; its hash is checked first, and is the ETag."""
        manifest, stream = await asyncio.to_thread(self._registry.stored.open_model, model, version)
        headers = {"ETag": f'"{manifest.sha256}"', "Cache-Control": FOR_AN_HOUR}
        if _has(request, headers["ETag"]):
            stream.close()
            return Response(status_code=304, headers=headers)
        name = f"{manifest.name}-{version}.pt"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return FileResponse(stream, manifest.size_bytes, headers)

    def _write(self, model: str, version: int, kind: str, address: str, live: LiveFigures | None) -> Response:
        """Return the card in this format; reads files."""
        facts = self._facts(model, version, address, live)
        headers = {"Vary": "Accept"}
        if kind == HTML:
            page = write_page(facts.title, sections_of(facts))
            return Response(page, media_type=HTML, headers=headers | {"Content-Security-Policy": POLICY})
        if kind == MARKDOWN:
            return Response(write_markdown(facts.title, sections_of(facts)), media_type=MARKDOWN, headers=headers)
        return Response(json.dumps(write_bom(facts), ensure_ascii=False), media_type=JSON, headers=headers)

    def _facts(self, model: str, version: int, address: str, live: LiveFigures | None) -> CardFacts:
        stored = self._registry.stored
        manifest = stored.manifest(model, version)
        example = example_of(manifest)
        path = Routes.PREDICT_WITH_VERSION.path(model=model, version=version)
        body = json.dumps(example.body, ensure_ascii=False).replace("'", "'\\''")
        request = f"curl {address}{path} -H 'content-type: {example.content_type}' -d '{body}'"
        return CardFacts(
            version=version,
            manifest=manifest,
            stated=stored.statements(model),
            active=self._registry.get(model).active == version,
            pictures=stored.pictures(model, version),
            request=request,
            live=live,
        )


def _live_of(found: LiveInfo) -> LiveFigures | None:
    """Return live figures for a card; None without labels."""
    if found.figures is None:
        return None
    intervals, figures = {}, {}
    for name, value in found.figures:
        if isinstance(value, tuple):
            intervals[name.removesuffix("_interval")] = value
        else:
            figures[name] = value
    return LiveFigures(found.days, found.labels, figures, intervals)


def _address(request: Request) -> str:
    """Return where the client reaches the service, for a command to copy; a host with other characters is left out."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host if _HOST.fullmatch(host) else 'localhost'}{prefix_of(request)}"


def _has(request: Request, etag: str) -> bool:
    """Return whether the client says that it has the file already."""
    given = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    return bool(given & {etag, "*"})


def router(registry: ModelRegistry, live: Live) -> TableRouter:
    """Create the routes of cards, pictures and artifacts; `live` returns the live figures of a version."""
    routes, answer = TableRouter(tags=["models"]), CardRoutes(registry, live)
    broken = problems(404, 409, 422, 503)
    unchanged: dict[int | str, Document] = {304: {"description": "The client has it already"}}
    text = {"schema": {"type": "string"}}
    card: Document = {"content": {JSON: {"schema": {"type": "object"}}, HTML: text, MARKDOWN: text}}
    file = {"schema": {"type": "string", "format": "binary"}}
    routes.add(Routes.SHOW_CARD, response_class=Response, responses={200: card, **broken})(answer.show)
    stated = json_body({"$ref": "#/components/schemas/CardStatements"})
    routes.add(
        Routes.PUT_STATEMENTS,
        response_model_exclude_none=True,
        openapi_extra=stated,
        responses=problems(400, 404, 413, 415, 422, 503),
    )(answer.state)
    routes.add(Routes.LIST_PLOTS, responses=problems(404, 422, 503))(answer.list_plots)
    routes.add(
        Routes.SHOW_PLOT,
        response_class=Response,
        responses={200: {"content": {PNG: file}}, **unchanged, **broken},
    )(answer.picture)
    routes.add(
        Routes.PLOT_DATA,
        response_class=Response,
        responses={200: {"content": {JSON: {"schema": {"type": "object"}}}}, **unchanged, **broken},
    )(answer.plot_data)
    routes.add(
        Routes.ARTIFACT, response_class=Response, responses={200: {"content": {BYTES: file}}, **unchanged, **broken}
    )(answer.artifact)
    return routes
