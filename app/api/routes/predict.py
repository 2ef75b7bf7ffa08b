"""The native prediction routes: content negotiation and query parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Receive, Scope, Send

from app.api.accept import choose_type
from app.api.bodies import declared_length, media_type, require_utf8
from app.api.errors import UnsupportedContentType
from app.api.parameters import ModelPath, VersionPath
from app.api.preferences import wants_receipts
from app.api.responses import BlocksResponse, PartsResponse
from app.api.routing import TableRouter
from app.api.schemas.common import PREDICT_ANSWER, RECEIPT, json_body, problems, rows_body, without_null
from app.api.schemas.predict import ANY_ROW, instances
from app.api.validation_errors import make_invalid_input
from app.errors import wrong_field
from app.inference.codecs import csv, formats
from app.inference.codecs.formats import BulkOptions
from app.inference.codecs.json import CONTENT_TYPE as JSON
from app.inference.codecs.json import JsonReader
from app.inference.codecs.json_answers import columns_writer
from app.inference.decision import Override
from app.inference.options import MOST_TOP, PredictionOptions, read_flat
from app.inference.pipeline import BulkRequest, Pipeline
from app.security.permissions import Routes
from modelstore.reading import column_name

MAX_WHOLE_BYTES = 1 << 20
"""A body with a declared length up to this is checked completely before it is answered; others are streamed."""

BLANK_LINES_HEADER = "X-Blank-Lines"
"""Header with the number of blank lines ignored in such a body, if there were any."""


class PredictQuery(BaseModel, extra="forbid"):
    """Query parameters of a prediction; unknown parameters are refused.

    Attributes:
        layout: layout of a JSON response: one object per row, or columns, which are much smaller, if rows came as JSON.
        ignore_extra: ignore columns and names that the model does not know, instead of refusing them.
        strict: refuse rows with a value that is unseen, outside the training range, or missing in a column that had no
            gaps in training, instead of answering with a warning; by default as the version says.
        decision: `argmax` answers the most probable class, whatever the decision of the version.
        threshold: answer the second of two classes from this probability on, in place of the version's decision.
        explain: answer also what each column contributes; a JSON body may say it instead.
        explain_class: explain the probability of this class, instead of that of the label.
        explain_top: answer only so many contributions, the largest ones, and the sum of the others.
        explain_confidence_below: explain only rows whose label has a smaller probability.
        confidence: answer also the set of classes, or the interval, that holds the truth of this share of rows.
        abstain: `false` decides every row, whatever the version says.
        abstain_below: decide no class where the label has a smaller probability.
        abstain_confidence: decide no class where the set of this level does not hold exactly one class.
        abstain_wider: decide no value where the interval of the level `abstain_confidence` is wider than this.
        abstain_out_of_range: decide nothing where a value is unseen, outside the training range, or missing in a
            column that had no gaps in training.
        id_column: column of a table, or name in each NDJSON object, with your own id of each row, by which its label
            can be sent later; in JSON, `ids` beside the rows.
        on_error: for bodies in streaming formats: end the response at a bad row, or put its error in its place.
    """

    layout: Literal["rows", "columns"] = "rows"
    ignore_extra: bool = False
    on_error: Literal["fail", "skip"] = "fail"
    strict: Annotated[bool | None, Field(json_schema_extra=without_null)] = None
    decision: Annotated[Literal["argmax"] | None, Field(json_schema_extra=without_null)] = None
    threshold: Annotated[float | None, Field(gt=0, lt=1, json_schema_extra=without_null)] = None
    explain: Annotated[bool | None, Field(json_schema_extra=without_null)] = None
    explain_class: Annotated[str | None, Field(json_schema_extra=without_null)] = None
    explain_top: Annotated[int | None, Field(ge=1, le=MOST_TOP, json_schema_extra=without_null)] = None
    explain_confidence_below: Annotated[float | None, Field(gt=0, le=1, json_schema_extra=without_null)] = None
    confidence: Annotated[float | None, Field(gt=0, lt=1, json_schema_extra=without_null)] = None
    abstain: Annotated[bool | None, Field(json_schema_extra=without_null)] = None
    abstain_below: Annotated[float | None, Field(gt=0, le=1, json_schema_extra=without_null)] = None
    abstain_confidence: Annotated[float | None, Field(gt=0, lt=1, json_schema_extra=without_null)] = None
    abstain_wider: Annotated[float | None, Field(gt=0, json_schema_extra=without_null)] = None
    abstain_out_of_range: Annotated[bool | None, Field(json_schema_extra=without_null)] = None
    id_column: Annotated[str | None, Field(min_length=1, max_length=256, json_schema_extra=without_null)] = None

    def options(self) -> PredictionOptions:
        """Return what the request asks for in place of, or beside, the usual answer.

        Raises:
            InvalidInput: if it contradicts itself.
        """
        id_column = None if self.id_column is None else column_name(self.id_column)
        return replace(read_flat(dict(self)), strict=self.strict, override=self.override(), id_column=id_column)

    def override(self) -> Override | None:
        """Return the decision of the query, which replaces the version's own.

        Raises:
            InvalidInput: if it wants two.
        """
        if self.threshold is None:
            return Override() if self.decision else None
        if self.decision:
            raise wrong_field("decision", "is said twice, by decision and threshold; say one of them")
        return Override(self.threshold)


class Negotiation:
    """Answer prediction requests with the reader and writer that Content-Type and Accept select."""

    def __init__(self, pipeline: Pipeline, max_waiting_bytes: int, max_whole_bytes: float = MAX_WHOLE_BYTES) -> None:
        """Create it.

        Args:
            pipeline: computes predictions.
            max_waiting_bytes: most bytes of a streamed answer that wait for the client to read.
            max_whole_bytes: largest body in a streaming format that is checked before it is answered; infinity for any,
                whether it declares its length or not.
        """
        self._pipeline = pipeline
        self._max_waiting_bytes = max_waiting_bytes
        self._max_whole_bytes = max_whole_bytes
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
            raise make_invalid_input(faults, PredictQuery, sent, "the query", "parameter") from error
        response = await self.answer(request, query, parameters["model"], None)
        await response(scope, receive, send)

    async def answer(self, request: Request, query: PredictQuery, name: str | None, version: int | None) -> Response:
        """Return the response in the format that the request prefers, or in the request's own format."""
        given = media_type(request.headers.get("content-type"))
        if given == JSON or given in formats.TEXT:
            require_utf8(request.headers.get("content-type"))
        options = replace(query.options(), receipt=wants_receipts(request))
        own = csv.CONTENT_TYPE if given == csv.TAB_SEPARATED else given if given in self._writers else JSON
        answered = choose_type(request.headers.get("accept"), (own, JSON, *self._writers))
        writer = self._writers[answered]
        if given != JSON and given not in self._readers:
            raise UnsupportedContentType((JSON, *self._readers), given)
        _require_effect(query, given, answered)
        if given == JSON:
            columns = query.layout == "columns"
            make_writer = columns_writer if columns else lambda schema, added: writer(schema, BulkOptions(), added)
            reader = JsonReader(await request.body(), ignore_extra=query.ignore_extra, options=options)
            _, parts = await self._pipeline.answer_document(reader, name, version, make_writer)
            return PartsResponse(parts, media_type=answered)
        bulk_options = BulkOptions(query.ignore_extra, query.on_error == "skip", options)
        bulk = BulkRequest(name, version, self._readers[given], writer, bulk_options)
        length = declared_length(request)
        if (math.inf if length is None else length) <= self._max_whole_bytes:
            content_type, parts, blank_lines = await self._pipeline.answer_whole(bulk, request.stream())
            passed_over = {BLANK_LINES_HEADER: str(blank_lines)} if blank_lines else {}
            return PartsResponse(parts, media_type=content_type, headers=passed_over)
        content_type, blocks = await self._pipeline.answer_stream(bulk, request.stream())
        return BlocksResponse(content_type, blocks, self._max_waiting_bytes)


def _require_effect(query: PredictQuery, given: str, answered: str) -> None:
    """Refuse parameters that mean nothing for rows and answers of these content types.

    Raises:
        InvalidInput.
    """
    if query.layout == "columns" and not given == answered == JSON:
        raise wrong_field("layout", f"columns are an answer in {JSON} to rows in {JSON}; leave it out")
    if query.id_column is not None and given == JSON:
        raise wrong_field("id_column", "is for CSV, NDJSON and Arrow; in JSON, send `ids` beside the rows", "id_column")
    if query.on_error == "skip" and given == JSON:
        raise wrong_field("on_error", "skip is for CSV, NDJSON, Arrow and float32; leave it out, or send one of these")


def router(negotiate: Negotiation) -> TableRouter:
    """Create the prediction routes."""
    routes = TableRouter(tags=["predict"])
    documented: dict[str, Any] = {
        "response_class": Response,
        "responses": {200: PREDICT_ANSWER, **problems(400, 404, 409, 413, 415, 422, 429, 503)},
    }
    named_in_path = rows_body(instances(ANY_ROW)) | {"parameters": [RECEIPT]}
    named_in_body = json_body(instances(ANY_ROW, model={"type": "string"})) | {"parameters": [RECEIPT]}

    @routes.add(Routes.PREDICT, openapi_extra=named_in_path, **documented)
    def predict(model: ModelPath, options: Annotated[PredictQuery, Query()]) -> None:
        """Predict with the active version of a model, or with the version that the body names."""
        # Never called: it documents what `Negotiation.serve` answers.

    @routes.add(Routes.PREDICT_WITH_VERSION, openapi_extra=named_in_path, **documented)
    async def predict_version(
        request: Request, model: ModelPath, version: VersionPath, options: Annotated[PredictQuery, Query()]
    ) -> Response:
        """Predict with one version of a model."""
        return await negotiate.answer(request, options, model, version)

    @routes.add(Routes.PREDICT_AS_BODY_SAYS, openapi_extra=named_in_body, **documented)
    async def predict_named_in_body(request: Request, options: Annotated[PredictQuery, Query()]) -> Response:
        """Predict with the model that the body names."""
        return await negotiate.answer(request, options, None, None)

    return routes
