"""Bodies of the routes for feedback."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from app.api.schemas.common import Document
from app.feedback.counted import Agreement
from app.feedback.live import ClassFigures, Expected, ValueFigures
from app.feedback.reading import MAX_LABELS
from app.feedback.sequential import Verdict

MAX_DAYS = 3650


class RefusedItem(BaseModel):
    """An item of feedback that was refused.

    Attributes:
        row: position in the array, from 0; in CSV and NDJSON the line, from 1.
        feature: `receipt`, `id`, `model` or `label`, or null for the whole item.
    """

    row: int
    feature: str | None
    problem: str


class FeedbackAnswer(BaseModel):
    """What became of the items of a request.

    Attributes:
        taken: labels that were kept.
        repeated: items whose receipt, or row with that id, had a label before; that one stays.
        refused: items with something wrong; each is in `errors`.
    """

    taken: int
    repeated: int
    refused: int
    errors: list[RefusedItem]


class LiveQuery(BaseModel, extra="forbid"):
    """Query parameters of the live figures.

    Attributes:
        days: of labelled rows, those that were predicted in so many days up to now.
    """

    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 30


class ReceiptShare(BaseModel):
    """How many of the rows that got a receipt have a label; counted from the first receipt since the service started.

    Replicas that share a PostgreSQL database count their own receipts and all labels, so `share` is null there.

    Attributes:
        given: receipts given by this service.
        labelled: labels of rows that were predicted since then, by any replica.
        share: labelled of given; null without a receipt, and with a PostgreSQL database.
        since: time of the first receipt.
    """

    given: int
    labelled: int
    share: float | None
    since: datetime | None


class ShadowTest(BaseModel):
    """Whether the shadow is better, by labelled rows on which one of the two versions was right, or nearer.

    Attributes:
        shadow_better: rows on which the shadow was; `active_better` likewise.
        evidence: how much the rows speak for the shadow; it may be looked at any time.
        needed: evidence at which the shadow is found better; of shadows that are not, at most 5 % ever reach it.
    """

    shadow_better: int
    active_better: int
    evidence: float
    needed: float
    verdict: Verdict


class ShadowInfo(BaseModel):
    """The active version and its shadow.

    Attributes:
        promotes_itself: whether the shadow becomes active by itself once labels show that it is better.
    """

    active: int
    shadow: int
    promotes_itself: bool
    agreement: Agreement
    test: ShadowTest


class LiveInfo(BaseModel):
    """Live figures of one version.

    Attributes:
        labels: number of labelled rows of these days.
        left_out: the oldest of them, which are not in the figures because there are too many.
        figures: null without labels.
        receipts: the share of rows with a label; labels are rarely a random part of the rows.
        expected: what the version's own probabilities promise; null for a quantity.
        shadow: the comparison with the active version or its shadow, if this is one of the two; else null.
    """

    model: str
    version: int
    days: int
    labels: int
    left_out: int
    figures: ClassFigures | ValueFigures | None
    receipts: ReceiptShare
    expected: Expected | None
    shadow: ShadowInfo | None


FEEDBACK: Document = {
    "type": "object",
    "required": ["feedback"],
    "additionalProperties": False,
    "properties": {
        "feedback": {
            "type": "array",
            "maxItems": MAX_LABELS,
            "items": {
                "description": "an object with `receipt`, or with the `id` that came with the row and perhaps `model`; "
                "and with `label`: the name of the true class, or the true quantity; any other item is refused on its "
                "own, with its position"
            },
        }
    },
}
EXAMPLE: Document = {
    "feedback": [{"receipt": "R2ErMQAAAAFrCYxy0ssVGmAAAAAAAAA_fo-l7FN5WSWs4j0oSpeZ", "label": "setosa"}]
}
