"""The one claim about every error: problem details (RFC 9457), with nothing internal."""

from __future__ import annotations

import json
import re
import socket
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import pytest

import app.main  # noqa: F401 - so that every error is known
from app.errors import ServingError

FIELDS = ["type", "title", "status", "detail", "errors", "request_id"]
NOT_FOR_CLIENTS = ("Traceback", 'File "', ".py", "site-packages", "/tmp", "sqlite", str(Path.cwd()))  # noqa: S108
FOLDERS = [f"/{folder.name}/" for folder in Path("/").iterdir() if folder.name not in ("models", "datasets", "train")]
ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
KEY = re.compile(r"tabserve_[0-9a-z]{12}")
SECRET = "xqzjv"
TRY_AGAIN = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)


def every_error() -> list[type[ServingError]]:
    """Return all errors that a client may see, the base class and the families included."""
    errors: list[type[ServingError]] = [ServingError]
    for error in errors:
        errors += error.__subclasses__()
    return errors


def leaks(text: str) -> list[str]:
    """Return what a client is told that is not for clients: folders, code, addresses, this machine, keys."""
    names = [name for name in (socket.gethostname(), socket.getfqdn()) if name != "localhost"]
    found = [part for part in (*NOT_FOR_CLIENTS, *FOLDERS, *names) if part in text]
    return [*found, *ADDRESS.findall(text), *KEY.findall(text)]


def assert_problem(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """Check the one error shape, and that nothing was let out; return the document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert list(document) == FIELDS
    assert document["type"].startswith("urn:tabserve:problem:")
    assert (document["status"], document["title"]) == (status, HTTPStatus(status).phrase)
    assert len(document["detail"]) > 20
    for fault in document["errors"]:
        assert list(fault) == ["row", "feature", "problem"]
        assert fault["row"] is None or fault["row"] >= 0
        assert fault["feature"] is None or fault["feature"]
        assert len(fault["problem"]) > 5
    assert document["request_id"] == answer.headers["x-request-id"]
    assert (status in TRY_AGAIN) == (answer.headers.get("retry-after", "").isdecimal())
    assert leaks(answer.text) == []
    assert SECRET not in answer.text.lower()
    return document


def assert_failure(answer: httpx2.Response, status: int) -> str:
    """Check the one error shape of the protocol, and that nothing was let out; return the message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = json.loads(answer.text, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert list(document) == ["error"]
    message: str = document["error"]
    assert len(message) > 20
    assert answer.headers["x-request-id"]
    assert (HTTPStatus(status) in TRY_AGAIN) == (answer.headers.get("retry-after", "").isdecimal())
    assert not [text for text in NOT_FOR_CLIENTS if text in answer.text]
    assert SECRET not in answer.text.lower()
    return message
