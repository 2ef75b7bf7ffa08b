"""Routes for labels that come after the prediction, and for the live figures from them.

This module must not know how a receipt is proved, or where labels are kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query, Request

from app.api.bodies import check_content_type
from app.api.parameters import ModelPath, VersionPath
from app.api.routing import TableRouter
from app.api.schemas.common import json_body, problems
from app.api.schemas.feedback import (
    EXAMPLE,
    FEEDBACK,
    FeedbackAnswer,
    LiveInfo,
    LiveQuery,
    ReceiptShare,
    RefusedItem,
    ShadowInfo,
    ShadowTest,
)
from app.errors import Problem
from app.feedback.checking import FeedbackCheck, ids_of
from app.feedback.counted import count_receipts, measure_agreement, sum_samples
from app.feedback.live import expect, measure
from app.feedback.promotion import Promotions, promotes_itself
from app.feedback.reading import READERS, read_feedback
from app.feedback.sequential import NEEDED, evidence, judge
from app.jobs.records import LabelledRow
from app.jobs.runner import JobRunner
from app.registry.registry import ModelRegistry
from app.registry.state import ServedModel
from app.security.permissions import Routes
from app.telemetry.metrics import ServingMetrics
from app.telemetry.multiprocess import WorkerFigures
from app.telemetry.version_counters import Figures
from modelstore import Manifest

MOST_ROWS = 100_000  # labelled rows of which the figures are computed, which takes some tenths of a second

_TEXT: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}


class FeedbackRoutes:
    """Route handlers, one method each; their docstrings appear in the OpenAPI document."""

    def __init__(
        self,
        runner: JobRunner,
        check: FeedbackCheck,
        registry: ModelRegistry,
        figures: WorkerFigures,
        metrics: ServingMetrics,
        *,
        promotions: Promotions,
        is_shared: bool,
    ) -> None:
        """Create it; `is_shared` tells whether replicas keep their labels in the same database."""
        self._runner, self._check, self._registry = runner, check, registry
        self._figures, self._metrics, self._promotions = figures, metrics, promotions
        self._is_shared = is_shared

    async def give(self, request: Request) -> FeedbackAnswer:
        """Give labels for predictions that had receipts or ids, once each: JSON, CSV with a header line, or NDJSON.

        Each item is checked on its own; a wrong one does not harm the others. Send a request again if its answer was
        lost: what was taken before counts as repeated.
        """
        kind = check_content_type(request.headers.get("content-type"), tuple(READERS))
        taken, repeated, refused = await self._runner.ask(self._take, await request.body(), kind)
        self._count(taken, repeated, len(refused))
        await self._promotions.promote_better({row.model for row in taken})
        errors = [RefusedItem(row=one.row or 0, feature=one.feature, problem=one.problem) for one in refused]
        return FeedbackAnswer(taken=len(taken), repeated=repeated, refused=len(errors), errors=errors)

    async def live(self, model: ModelPath, version: VersionPath, query: Annotated[LiveQuery, Query()]) -> LiveInfo:
        """Show how right the answers of a version were, by the labels that came for them, and how right they should be.

        Intervals are of 95 %. Figures of labels are of all processes; receipts and expectation count since the service
        started.
        """
        self._registry.get(model)
        manifest = await asyncio.to_thread(self._registry.stored.manifest, model, version)
        parts = self._figures.of_all_workers()
        given = count_receipts(parts, model, version)
        since_s = int(max(time.time() - query.days * 86_400, manifest.created.timestamp()))
        figures, labels, labelled = await self._runner.ask(self._measure, manifest, version, since_s, given.since_s)
        is_class = manifest.task == "classification"
        return LiveInfo(
            model=model,
            version=version,
            days=query.days,
            labels=labels,
            left_out=max(0, labels - MOST_ROWS),
            figures=figures,
            receipts=ReceiptShare(
                given=given.number,
                labelled=labelled,
                share=labelled / given.number if given.number and not self._is_shared else None,
                since=None if given.since_s is None else datetime.fromtimestamp(given.since_s, UTC),
            ),
            expected=expect(sum_samples(parts, model, version), has_decision=manifest.decision is not None)
            if is_class
            else None,
            shadow=await self._shadow(self._registry.get(model), version, parts),
        )

    async def _shadow(self, model: ServedModel, version: int, parts: Iterable[Figures]) -> ShadowInfo | None:
        """Return how the active version and its shadow compare, if this version is one of them."""
        active, shadow = model.active, model.shadow
        if active is None or shadow is None or version not in (active, shadow.schema.version):
            return None
        pair = (active, shadow.schema.version)
        pairs = await self._promotions.pairs(model.name, *pair)
        test = ShadowTest(
            shadow_better=pairs.shadow,
            active_better=pairs.active,
            evidence=evidence(*pairs),
            needed=NEEDED,
            verdict=judge(pairs),
        )
        agreed = measure_agreement(parts, model.name, pair, has_classes=shadow.manifest.task == "classification")
        itself = promotes_itself(model)
        return ShadowInfo(active=pair[0], shadow=pair[1], promotes_itself=itself, agreement=agreed, test=test)

    def _take(self, body: bytes, kind: str) -> tuple[list[LabelledRow], int, list[Problem]]:
        """Check and keep the items of a body; call it from a thread."""
        now_s = time.time()
        items = read_feedback(body, kind)
        ids = ids_of(items)
        receipts = self._runner.kept.receipts(ids, int(now_s)) if ids else {}
        checked = self._check.check(items, now_s, receipts)
        taken = self._runner.feedback.add(checked.rows, oldest_s=self._check.oldest_s(now_s))
        return taken, checked.repeated + len(checked.rows) - len(taken), checked.refused

    def _measure(
        self, manifest: Manifest, version: int, since_s: int, given_since_s: int | None
    ) -> tuple[Any, int, int]:
        """Return figures, number of labels, and number of those since the first receipt; call it from a thread."""
        name, feedback = manifest.name, self._runner.feedback
        rows, labels = feedback.newest(name, version, since_s=since_s, limit=MOST_ROWS)
        labelled = 0 if given_since_s is None else feedback.count(name, version, since_s=given_since_s)
        return measure(rows, has_classes=manifest.task == "classification"), labels, labelled

    def _count(self, taken: Sequence[LabelledRow], repeated: int, refused: int) -> None:
        for result, items in (("taken", len(taken)), ("repeated", repeated), ("refused", refused)):
            self._metrics.count_feedback(result, items)
        for row in taken:
            if row.confidence is None:
                self._metrics.count_label(row.model, row.version, squared_error=(row.answer - row.label) ** 2)
            else:
                self._metrics.count_label(row.model, row.version, right=row.answer == row.label)


def router(answer: FeedbackRoutes) -> TableRouter:
    """Create the routes that these handlers answer."""
    routes = TableRouter(tags=["feedback"])
    body = json_body(FEEDBACK, example=EXAMPLE)
    body["requestBody"]["content"] |= {kind: _TEXT for kind in READERS if kind not in body["requestBody"]["content"]}
    routes.add(Routes.GIVE_FEEDBACK, openapi_extra=body, responses=problems(400, 413, 415, 422, 503))(answer.give)
    routes.add(Routes.LIVE_FIGURES, responses=problems(404, 409, 422, 503))(answer.live)
    return routes
