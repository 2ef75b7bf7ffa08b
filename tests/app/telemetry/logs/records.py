"""Records for tests of the log, and texts that strangers may send."""

from __future__ import annotations

import logging

NASTY = {
    "lines": "a\r\nb\n",
    "terminal": "\x1b[31mred\x9b1m\x07",
    "json": '"}\n{"level": "critical"}',
    "separators": "\u2028\u2029\x85\x0b\x0c",
    "lone surrogate": "\udc80x",
    "right to left": "\u202etxt.exe",
    "nul": "\x00",
}


def record(message: str = "it is so", error: BaseException | None = None, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "app.test", "levelname": "INFO", "msg": message, **fields})
    if error is not None:
        made.exc_info = (type(error), error, error.__traceback__)
    return made
