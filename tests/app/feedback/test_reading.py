"""Bodies of feedback in three formats give the same items.

tests/app/api/routes/test_feedback.py has the refusals.
"""

from __future__ import annotations

import pytest

from app.errors import InvalidInput, MalformedBody
from app.feedback.reading import READERS, FeedbackItem, read_feedback

BODIES = {
    "application/json": (b'{"feedback": [{"receipt": "a", "label": "yes"}, 7, {"receipt": "b", "label": "no"}]}', 0, 1),
    "text/csv": (b"\xef\xbb\xbfreceipt,label\r\na,yes\r\n7\r\nb,no\r\n", 2, 1),
    "application/x-ndjson": (b'{"receipt": "a", "label": "yes"}\n\n7\n\n{"label": "no", "receipt": "b"}', 1, 2),
}


@pytest.mark.parametrize("kind", BODIES)
def test_every_format_gives_the_items_with_their_places(kind: str) -> None:
    body, first, step = BODIES[kind]

    assert read_feedback(body, kind) == [
        FeedbackItem(first, "a", "yes"),
        FeedbackItem(first + step, form=None),
        FeedbackItem(first + 2 * step, "b", "no"),
    ]
    assert kind in READERS


def test_an_id_stands_in_place_of_a_receipt_with_or_without_its_model() -> None:
    body = b'{"feedback": [{"id": 7, "label": 1}, {"id": "a", "label": 1, "model": "iris"}, {"id": 1, "receipt": "a"}]}'
    assert read_feedback(body, "application/json") == [
        FeedbackItem(0, id=7, label=1, form="id"),
        FeedbackItem(1, id="a", label=1, model="iris", form="id"),
        FeedbackItem(2, form=None),
    ]
    assert read_feedback(b"label,id\nyes,a 1\n", "text/csv") == [FeedbackItem(2, id="a 1", label="yes", form="id")]


def test_columns_of_a_table_may_stand_in_either_order_and_cells_may_have_quotes() -> None:
    assert read_feedback(b'label,receipt\n"a, ""b""",r\n', "text/csv") == [FeedbackItem(2, "r", 'a, "b"')]


def test_a_line_that_is_no_json_is_refused_alone_with_its_number_and_column() -> None:
    body = b'{"id": 1, "label": "x"}\n{"id": 2,\n\xff\n{"id": 3, "id": 3}\n{"id": 4, "label": "y"}\n{"id'

    assert read_feedback(body, "application/x-ndjson") == [
        FeedbackItem(1, id=1, label="x", form="id"),
        FeedbackItem(
            2,
            form=None,
            problem="is not JSON: expecting property name enclosed in double quotes at column 10",
        ),
        FeedbackItem(3, form=None, problem="must be UTF-8, byte 0 is not"),
        FeedbackItem(4, form=None, problem="an object has the same name twice; say each name once"),
        FeedbackItem(5, id=4, label="y", form="id"),
        FeedbackItem(6, form=None, problem="is not JSON: unterminated string starting at column 2"),
    ]


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("text/csv", b"", InvalidInput),
        ("text/csv", b"receipt,label,id\n", InvalidInput),
        ("text/csv", b"id,id,label\n", InvalidInput),
        ("text/csv", b'receipt,label\na,"x', MalformedBody),
        ("application/json", b'{"feedback": [], "more": 1}', InvalidInput),
        ("application/json", b'{"feedback": [{"label": 1, "label": 2}]}', MalformedBody),
    ],
)
def test_what_is_no_feedback_is_refused(kind: str, body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_feedback(body, kind)
