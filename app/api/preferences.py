"""Read the request headers Prefer, Idempotency-Key, Last-Event-ID and X-Prediction-Receipt."""

from __future__ import annotations

import re

from fastapi import Request

from app.errors import wrong_field

MAX_WAIT_S = 60

_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?", re.IGNORECASE)
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_EVENT_NUMBER = re.compile(r"[0-9]{1,18}")


def read_preferred_wait_s(request: Request) -> int:
    """Return how long the client is willing to wait for a result: 0 to 60 seconds; 0 if it does not say.

    A preference that cannot be parsed is ignored, as RFC 7240 requires.
    """
    for header in request.headers.getlist("prefer"):
        for preference in header.split(","):
            if found := _WAIT.fullmatch(preference.partition(";")[0].strip()):
                return min(int(found[1]), MAX_WAIT_S)
    return 0


def read_idempotency_key(request: Request) -> str | None:
    """Return the client's idempotency key, if any; requests with the same key are carried out once.

    Raises:
        InvalidInput: if it is not 1 to 255 visible ASCII characters, or the header is repeated.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise wrong_field("Idempotency-Key", "must be given once, as 1 to 255 visible ASCII characters")
    return given[0]


def wants_receipts(request: Request) -> bool | None:
    """Return whether the header X-Prediction-Receipt asks for a receipt a row: 1 for yes, 0 for no, None without it.

    Raises:
        InvalidInput: if it says anything else.
    """
    given = request.headers.getlist("x-prediction-receipt")
    if given not in ([], ["0"], ["1"]):
        raise wrong_field("X-Prediction-Receipt", "must be given once, as 1 or 0")
    return given == ["1"] if given else None


def read_last_event_id(request: Request) -> int:
    """Return the number of the last event that the client saw; 0 if the header is missing or not an event number."""
    given = request.headers.get("last-event-id", "")
    return int(given) if _EVENT_NUMBER.fullmatch(given) else 0
