"""The Prefer and priority headers, and everything that is none."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from app.api.preferences import read_idempotency_key, read_last_event_id, read_preferred_wait_s, wants_receipts
from app.errors import InvalidInput


def request(*headers: tuple[str, str]) -> Request:
    return Request({"type": "http", "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers]})


# values: RFC 7240, sections 2 and 4.3
PREFER = {
    "plain": (["wait=30"], 30),
    "quoted": (['wait="30"'], 30),
    "spaces": (["Wait = 5"], 5),
    "among others": (["respond-async, wait=7; foo=bar, handling=lenient"], 7),
    "second header": (["handling=lenient", "wait=8"], 8),
    "the first counts": (["wait=3, wait=9"], 3),
    "none": ([], 0),
    "zero": (["wait=0"], 0),
    "longer than we wait": (["wait=61"], 60),
    "absurd": (["wait=" + "9" * 5000], 0),
    "negative": (["wait=-1"], 0),
    "text": (["wait=soon"], 0),
    "a fraction": (["wait=1.5"], 0),
    "another word": (["await=30"], 0),
    "other digits": (["wait=\xb2"], 0),
}


@pytest.mark.parametrize(("headers", "seconds"), PREFER.values(), ids=PREFER.keys())
def test_wait_is_found_and_what_makes_no_sense_is_passed_over(headers: list[str], seconds: int) -> None:
    assert read_preferred_wait_s(request(*(("prefer", header) for header in headers))) == seconds


@pytest.mark.parametrize("key", ["a", "8e03978e-40d5-43e8-bc93-6894a57f9324", '"quoted"', "~" * 255])
def test_key_is_taken_as_it_is(key: str) -> None:
    assert read_idempotency_key(request(("idempotency-key", key))) == key


def test_no_key_is_none() -> None:
    assert read_idempotency_key(request()) is None


@pytest.mark.parametrize("keys", [[""], ["a b"], ["a" * 256], ["\xe4"], ["a\x00"], ["a", "a"]])
def test_other_keys_are_refused_by_name(keys: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_idempotency_key(request(*(("idempotency-key", key) for key in keys)))

    assert caught.value.problems[0].feature == "Idempotency-Key"


@pytest.mark.parametrize(
    ("given", "number"), [("7", 7), ("0", 0), ("", 0), ("-1", 0), ("1.5", 0), ("abc", 0), ("9" * 400, 0), ("\xb2", 0)]
)
def test_event_that_was_never_sent_means_from_the_beginning(given: str, number: int) -> None:
    assert read_last_event_id(request(("last-event-id", given))) == number


@pytest.mark.parametrize(("given", "wanted"), [([], None), (["0"], False), (["1"], True)])
def test_receipts_are_wanted_if_the_header_says_so(given: list[str], wanted: bool | None) -> None:
    assert wants_receipts(request(*(("x-prediction-receipt", one) for one in given))) is wanted
    with pytest.raises(InvalidInput):
        wants_receipts(request(("x-prediction-receipt", "true")))
