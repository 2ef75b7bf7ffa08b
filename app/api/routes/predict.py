"""The native prediction routes: content negotiation and query parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Receive, Scope, Send

from app.api.accept import choose_type
from app.api.bodies import media_type, require_utf8
from app.api.errors import UnsupportedContentType
from app.api.faults import invalid_input
from app.api.parameters import ModelPath, VersionPath
from app.api.responses import BlocksResponse, PartsResponse
from app.api.schemas.common import ANY_ROW, PREDICT_ANSWER, instances, json_body, problems, rows_body, without_null
from app.errors import InvalidInput, Problem
from app.inference.choice import Override
from app.inference.codecs import csv, formats
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.json import CONTENT_TYPE as JSON
from app.inference.codecs.json import JsonReader
from app.inference.codecs.json_answers import columns_writer
from app.inference.pipeline import BulkRequest, Pipeline

MAX_WHOLE_BYTES = 1 << 20
"""A body with a declared length up to this is checked completely before it is answered; others are streamed."""

BLANK_LINES_HEADER = "X-Blank-Lines"
"""Header with the number of blank lines ignored in such a body, if there were any."""


class PredictQuery(BaseModel, extra="forbid"):
    """Query parameters of a prediction; unknown parameters are refused.

    Attributes:
        layout: layout of a JSON response: one object per row, or columns, which are much smaller.
        ignore_extra: ignore columns and names that the model does not know, instead of refusing them.
        strict: refuse rows with missing, unseen or out-of-range values, instead of answering with a warning; by
            default as the version says.
        decision: `argmax` answers the most probable class, whatever the decision of the version.
        threshold: answer the second of two classes from this probability on, in place of the version's decision.
        on_error: for bodies in streaming formats: end the response at a bad row, or put its error in its place.
    """

    layout: Literal["rows", "columns"] = "rows"
    ignore_extra: bool = False
    on_error: Literal["fail", "skip"] = "fail"
    strict: Annotated[bool | None, Field(json_schema_extra=without_null)] = None
    decision: Annotated[Literal["argmax"] | None, Field(json_schema_extra=without_null)] = None
    threshold: Annotated[float | None, Field(gt=0, lt=1, json_schema_extra=without_null)] = None

    def override(self) -> Override | None:
        """Return the decision that the request wants in place of the version's own.

        Raises:
            InvalidInput: if it wants two.
        """
        if self.threshold is None:
            return Override() if self.decision else None
        if self.decision:
            problem = "is said twice, by decision and threshold; say one of them"
            raise InvalidInput(f"decision: {problem}", (Problem(None, "decision", problem),))
        return Override(self.threshold)


class Negotiation:
    """Answer prediction requests with the reader and writer that Content-Type and Accept select."""

    def __init__(self, pipeline: Pipeline, max_waiting_bytes: int) -> None:
        self._pipeline = pipeline
        self._max_waiting_bytes = max_waiting_bytes
        self._readers = formats.readers()
        self._writers = formats.writers()

    async def serve(self, scope: Scope, receive: Receive, send: Send, parameters: Mapping[str, str]) -> None:
        """Answer `POST /predict/{model}`.

        Raises:
            ServingError: if the request is wrong or the model cannot answer.
        """
        request = Request(scope, receive, send)
        sent = dict(request.query_params)
        try:
            query = PredictQuery.model_validate(sent)
        except ValidationError as error:
            faults = error.errors(include_url=False)
            raise invalid_input(faults, PredictQuery, sent, "the query", "parameter") from error
        response = await self.answer(request, query, parameters["model"], None)
        await response(scope, receive, send)

    async def answer(self, request: Request, query: PredictQuery, name: str | None, version: int | None) -> Response:
        """Return the response in the format that the request prefers, or in the request's own format."""
        given = media_type(request.headers.get("content-type"))
        if given == JSON or given in formats.TEXT:
            require_utf8(request.headers.get("content-type"))
        override = query.override()
        options = BulkOptions(query.ignore_extra, query.on_error == "skip", query.strict, override)
        own = csv.CONTENT_TYPE if given == csv.TAB_SEPARATED else given if given in self._writers else JSON
        answered = choose_type(request.headers.get("accept"), (own, JSON, *self._writers))
        writer = self._writers[answered]
        if given == JSON:
            columns = query.layout == "columns" and answered == JSON
            make_writer = columns_writer if columns else lambda schema: writer(schema, BulkOptions())
            reader = JsonReader(
                await request.body(), ignore_extra=query.ignore_extra, strict=query.strict, override=override
            )
            _, parts = await self._pipeline.answer_document(reader, name, version, make_writer)
            return PartsResponse(parts, media_type=answered)
        if given not in self._readers:
            raise UnsupportedContentType((JSON, *self._readers), given)
        asked = BulkRequest(name, version, self._readers[given], writer, options)
        if int(request.headers.get("content-length", MAX_WHOLE_BYTES + 1)) <= MAX_WHOLE_BYTES:
            content_type, parts, blank_lines = await self._pipeline.answer_whole(asked, request.stream())
            passed_over = {BLANK_LINES_HEADER: str(blank_lines)} if blank_lines else {}
            return PartsResponse(parts, media_type=content_type, headers=passed_over)
        content_type, blocks = await self._pipeline.answer_stream(asked, request.stream())
        return BlocksResponse(content_type, blocks, self._max_waiting_bytes)


def router(negotiate: Negotiation) -> APIRouter:
    """Create the prediction routes."""
    routes = APIRouter(tags=["predict"])
    documented: dict[str, Any] = {
        "response_class": Response,
        "responses": {200: PREDICT_ANSWER, **problems(400, 404, 409, 413, 415, 422, 429, 503)},
    }
    named_in_path = rows_body(instances(ANY_ROW))
    named_in_body = json_body(instances(ANY_ROW, model={"type": "string"}))

    @routes.post("/predict/{model}", openapi_extra=named_in_path, **documented)
    def predict(model: ModelPath, options: Annotated[PredictQuery, Query()]) -> None:
        """Predict with the active version of a model, or with the version that the body names."""
        # Never called: it documents what `Negotiation.serve` answers.

    @routes.post("/predict/{model}/versions/{version}", openapi_extra=named_in_path, **documented)
    async def predict_version(
        request: Request, model: ModelPath, version: VersionPath, options: Annotated[PredictQuery, Query()]
    ) -> Response:
        """Predict with one version of a model."""
        return await negotiate.answer(request, options, model, version)

    @routes.post("/predict", openapi_extra=named_in_body, **documented)
    async def predict_named_in_body(request: Request, options: Annotated[PredictQuery, Query()]) -> Response:
        """Predict with the model that the body names."""
        return await negotiate.answer(request, options, None, None)

    return routes
