"""What a client gets for its Accept header: quality first, then exactness, then order."""

from __future__ import annotations

import pytest

from app.api.accept import choose_type

TEXT, JSON, CSV = "text/plain", "application/json", "text/csv"
OFFERS = (TEXT, JSON, CSV)

CASES = [
    (None, TEXT),
    ("*/*", TEXT),
    (JSON, JSON),
    ("Application/JSON", JSON),
    ("application/json;q=0.1", JSON),
    ("application/json;q=0.1, text/plain", TEXT),
    ("text/plain;q=0.3, application/json;q=0.7", JSON),
    ("application/json;q=0.1, */*", TEXT),
    ("application/json;q=0, */*;q=0.1", TEXT),
    ("text/plain;q=0, */*", JSON),
    ("text/*, text/plain;q=0.1", CSV),
    ("application/json, text/plain, */*", JSON),
    ("text/csv, application/json", CSV),
    ("*/*, application/json", JSON),
    ("image/png", TEXT),
    ("text/plain;q=0", TEXT),
    ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", TEXT),
    ("application/json;q=nonsense", JSON),
    ("application/json; charset=utf-8; q=0.5, text/csv; Q=0.6", CSV),
    ("", TEXT),
    ("," * 40 + "application/json", TEXT),
]


@pytest.mark.parametrize(("header", "answer"), CASES)
def test_what_is_liked_best_is_chosen(header: str | None, answer: str) -> None:
    assert choose_type(header, OFFERS) == answer
