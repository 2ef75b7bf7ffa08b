"""The schema of a request for feedback names what is read."""

from __future__ import annotations

import json

from app.api.schemas.feedback import EXAMPLE, FEEDBACK, FeedbackAnswer, LiveQuery, RefusedItem
from app.feedback.reading import MAX_LABELS, FeedbackItem, read_feedback
from app.receipts import read_receipt


def test_the_example_is_read_and_so_are_items_of_another_form() -> None:
    (example,) = read_feedback(json.dumps(EXAMPLE).encode(), "application/json")

    assert read_receipt(example.receipt) is not None
    assert FEEDBACK["properties"]["feedback"]["maxItems"] == MAX_LABELS
    assert read_feedback(b'{"feedback": [7, {}]}', "application/json") == [
        FeedbackItem(0, form=None),
        FeedbackItem(1, form=None),
    ]


def test_an_answer_names_every_refused_item() -> None:
    refused = RefusedItem(row=3, feature=None, problem="why")

    answer = FeedbackAnswer(taken=1, repeated=2, refused=1, errors=[refused])

    assert answer.model_dump()["errors"] == [{"row": 3, "feature": None, "problem": "why"}]
    assert LiveQuery().days == 30
