"""Format log records as JSON objects, one per line, or as text for people.

Client input stays within its field, truncated and escaped, so that only the service can create a log line. An exception
is logged with its class and traceback; its text is included only if it cannot contain client input. This module must
not know where lines are written.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from app.context import current_request_id

MAX_MESSAGE = 2000
MAX_FIELD = 256
MAX_FRAMES = 20  # innermost frames of each exception
MAX_EXCEPTIONS = 4  # exceptions of a chain

# Exceptions whose text describes files, memory, databases and this program. Others, above all ValueError and its
# subclasses, often repeat the offending value.
_TELLING = (OSError, MemoryError, ImportError, RuntimeError, sqlite3.Error)
_TELLING_PACKAGES = ("app", "modelstore", "sqlalchemy", "psycopg")

_PROJECT = str(Path(__file__).resolve().parent.parent.parent.parent) + "/"
_LIBRARIES = "/site-packages/"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Format each record as one JSON object in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its line feed."""
        return json.dumps(_document(record))


class TextFormatter(logging.Formatter):
    """Format records for people; characters that would control the terminal are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record, without the last line feed."""
        document = _document(record)
        trace = str(document.pop("traceback", ""))
        head = [document.pop(name) for name in ("time", "level", "logger", "message")]
        del document["process"]
        fields = (f"{name}={value}" for name, value in document.items())
        lines = (" ".join(map(str, (*head, *fields))), *trace.splitlines())
        return "\n".join(map(_printable, lines))


def _document(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields of a record as JSON values."""
    document: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _truncate(_message(record), MAX_MESSAGE),
        "process": record.process,
    }
    if request_id := current_request_id():  # the fast path has no context, and passes its own as a field
        document["request_id"] = request_id
    for name, value in vars(record).items():
        if name not in _STANDARD and value is not None and name not in document:
            document[name] = value if isinstance(value, bool | int | float) else _truncate(str(value), MAX_FIELD)
    if record.exc_info and record.exc_info[1]:
        document["error"] = _truncate(_describe(record.exc_info[1]), MAX_MESSAGE)
        document["traceback"] = _truncate("\n".join(_places(record.exc_info[1])), 2 * MAX_MESSAGE)
    return document


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    if record.name == "asyncio":  # the rest of the message holds a callback's arguments or a task's exception
        return text.partition("\n")[0].partition("(")[0]
    return text.strip()


def _describe(error: BaseException) -> str:
    """Return the class of an exception and, where it cannot hold client input, its text."""
    kind = type(error)
    home = kind.__module__.partition(".")[0]
    name = kind.__qualname__ if home in ("builtins", "app") else f"{kind.__module__}.{kind.__qualname__}"
    harmless = isinstance(error, _TELLING) or home in _TELLING_PACKAGES
    return f"{name}: {error}" if harmless and str(error) else name


def _places(error: BaseException) -> Iterator[str]:
    """Yield the lines of a traceback: first the exception that was caught, then its causes."""
    current: BaseException | None = error
    for number in range(MAX_EXCEPTIONS):
        if current is None:
            return
        yield f"{'caused by ' if number else ''}{_describe(current)}"
        for frame, line in list(traceback.walk_tb(current.__traceback__))[-MAX_FRAMES:]:
            yield f"  {_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_qualname}"
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def _short(file: str) -> str:
    return file.rpartition(_LIBRARIES)[2].removeprefix(_PROJECT)


def _truncate(text: str, most: int) -> str:
    """Truncate a text to `most` characters and an ellipsis, and escape characters that UTF-8 cannot encode."""
    cut = text if len(text) <= most else text[:most] + "..."
    return cut.encode("utf-8", "backslashreplace").decode()


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
