"""One line of the log for every answered request."""

from __future__ import annotations

import logging

import pytest

from app.telemetry.logs import requests
from app.telemetry.logs.requests import RequestLog


@pytest.fixture(autouse=True)
def _level_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests.logger, "level", logging.NOTSET)


def fields(record: logging.LogRecord) -> dict[str, object]:
    """Return what was added to a record, beside what every record has."""
    return {name: value for name, value in vars(record).items() if name not in vars(logging.makeLogRecord({}))}


def test_answered_request_is_one_record_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger().setLevel(logging.WARNING)  # the lines come nevertheless

    RequestLog().log_response(
        request_id="r1",
        method="POST",
        route="/predict/{name}",
        path="/predict/iris",
        status=200,
        took_s=0.0123456,
        sent_bytes=42,
        key_id=None,
        peer="127.0.0.1",
    )

    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == ("INFO", "answered")
    assert (
        fields(record).items()
        >= {
            "request_id": "r1",
            "route": "/predict/{name}",
            "path": "/predict/iris",
            "status": 200,
            "duration_ms": 12.346,
            "bytes": 42,
            "key": None,
        }.items()
    )


def test_what_was_no_request_is_a_record_without_a_path(caplog: pytest.LogCaptureFixture) -> None:
    RequestLog().log_refusal(request_id="r2", status=400, sent_bytes=7, peer="127.0.0.1")

    (record,) = caplog.records
    shown = fields(record)
    assert (shown["method"], shown["route"], shown["path"], shown["status"]) == ("other", "unmatched", "", 400)
    assert (shown["duration_ms"], shown["bytes"], shown["peer"]) == (0.0, 7, "127.0.0.1")
