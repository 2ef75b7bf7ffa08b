"""What is logged: a record a line for any input, without clients' values, never blocking."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from app.context import CONTEXT, RequestContext
from app.errors import StoreUnavailable
from app.telemetry.logs.form import MAX_FIELD, JsonFormatter, TextFormatter
from tests.app.telemetry.logs.records import NASTY, record


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert line.isascii()
    assert line.isprintable()
    document: dict[str, Any] = json.loads(line)
    return document


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
def test_whatever_strangers_send_is_one_line_in_both_forms(text: str) -> None:
    made = record(f"model {text} is gone", path=text)

    document = as_json(made)
    assert document.keys() == {"time", "level", "logger", "message", "process", "path"}
    assert document["path"] == text.encode("utf-8", "backslashreplace").decode()
    assert TextFormatter().format(made).isprintable()


def test_record_has_time_level_logger_and_request_id() -> None:
    CONTEXT.set(RequestContext("abc-1"))
    try:
        document = as_json(record(created=1_000_000_000.25, status=404, key=None))
    finally:
        CONTEXT.set(None)

    assert document["time"] == "2001-09-09T01:46:40.250Z"
    assert (document["level"], document["logger"], document["message"]) == ("info", "app.test", "it is so")
    assert (document["request_id"], document["status"]) == ("abc-1", 404)
    assert "key" not in document


def test_long_texts_are_cut() -> None:
    document = as_json(record("m" * 10_000, path="p" * 10_000))

    assert len(document["message"]) < 2100
    assert len(document["path"]) == MAX_FIELD + 3


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


VALUE_TELLERS = {
    "a float that is none": lambda: float("41.4142x"),
    "a key that is not there": lambda: dict[str, int]()["41.4142"],
    "an index that is too large": lambda: json.loads('{"41.4142'),
    "a type that does not fit": lambda: "41.4142" + 1,  # type: ignore[operator]
    "bytes that are no text": b"41.4142\xff".decode,
}


@pytest.mark.parametrize("fail", VALUE_TELLERS.values(), ids=VALUE_TELLERS.keys())
def test_exception_is_told_without_the_value_that_it_repeats(fail: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)) as caught:
        fail()

    document = as_json(record(error=raised(StoreUnavailable("try again"), caught.value)))

    assert document["error"] == "app.errors.StoreUnavailable: try again" or document["error"].endswith(": try again")
    assert f"caused by {type(caught.value).__qualname__}" in document["traceback"].replace("json.decoder.", "")
    assert "tests/app/telemetry/logs/test_form.py:" in document["traceback"]
    said = {name: value for name, value in document.items() if name != "process"}
    assert "41.4142" not in str(said).replace("VALUE_TELLERS", "")


def test_exception_about_the_machine_says_what_it_is() -> None:
    document = as_json(record(error=raised(OSError(28, "No space left on device"))))

    assert document["error"] == "OSError: [Errno 28] No space left on device"


def test_callback_that_fails_is_named_without_what_it_was_called_with() -> None:
    said: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record)

    def callback(_row: str) -> None:
        raise ValueError("41.4142")

    async def main() -> None:
        asyncio.get_running_loop().call_soon(callback, "41.4142")
        await asyncio.sleep(0)

    keep = Keep()
    logging.getLogger("asyncio").addHandler(keep)
    try:
        asyncio.run(main())
    finally:
        logging.getLogger("asyncio").removeHandler(keep)
    (made,) = said
    assert "callback" in as_json(made)["message"]
    assert "41.4142" not in JsonFormatter().format(made)
