"""Sends all that a process says of itself the same way: own records, libraries', warnings, what nobody caught."""

from __future__ import annotations

import logging
import os
import sys
import threading
from types import TracebackType

from app.settings import Settings
from app.telemetry.logs.background import STDERR, BackgroundHandler
from app.telemetry.logs.form import JsonFormatter, TextFormatter

logger = logging.getLogger(__name__)

CHATTERING = ("alembic", "httpx", "httpx2")  # libraries that tell of every step


def configure(settings: Settings) -> BackgroundHandler:
    """Log to standard error as the settings say; each record at once, until the handler that is returned is started."""
    handler = BackgroundHandler()
    handler.setFormatter(TextFormatter() if for_people(settings) else JsonFormatter())
    root = logging.getLogger()
    for before in [known for known in root.handlers if isinstance(known, BackgroundHandler)]:
        root.removeHandler(before)
        before.close()
    root.addHandler(handler)
    root.setLevel(settings.log_level.upper())
    for name in CHATTERING:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    return handler


def log_all() -> None:
    """Let also warnings, and exceptions that nobody catches, be records; for a process that is the service's own."""
    _hold_standard_streams()
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread


def for_people(settings: Settings) -> bool:
    """Tell whether it is people who read what is logged."""
    if settings.log_format == "auto":
        return sys.stderr is not None and sys.stderr.isatty()
    return settings.log_format == "text"


def _hold_standard_streams() -> None:
    """Open what was closed at the start; otherwise the next file or connection would get its number, and the log."""
    for descriptor in range(STDERR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one


def _uncaught(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, place)
        return
    logger.critical("the process ends by an exception that nobody caught", exc_info=(kind, error, place))


def _uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and what.exc_type is not SystemExit:
        error = (what.exc_type, what.exc_value, what.exc_traceback)
        logger.critical("a thread ended by an exception that nobody caught", exc_info=error)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    if what.exc_value is not None:
        error = (what.exc_type, what.exc_value, what.exc_traceback)
        logger.error("an exception had nowhere to go", exc_info=error)
