"""Set up logging for a process: own records, libraries, warnings and uncaught exceptions."""

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

CHATTERING = ("httpx", "httpx2")  # libraries that log every step


def configure(settings: Settings) -> BackgroundHandler:
    """Log to standard error as the settings say; records are written at once until the returned handler is started."""
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
    """Log warnings and uncaught exceptions too; only for a process that belongs to the service."""
    _hold_standard_streams()
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    threading.excepthook = _uncaught_in_thread


def for_people(settings: Settings) -> bool:
    """Tell whether the log is written as text for people."""
    if settings.log_format == "auto":
        return sys.stderr is not None and sys.stderr.isatty()
    return settings.log_format == "text"


def _hold_standard_streams() -> None:
    """Open standard streams that are closed; otherwise a new file or connection gets their number, and the log."""
    for descriptor in range(STDERR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def _uncaught(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, place)
        return
    logger.critical("the process ends by an uncaught exception", exc_info=(kind, error, place))


def _uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and what.exc_type is not SystemExit:
        error = (what.exc_type, what.exc_value, what.exc_traceback)
        logger.critical("a thread ended by an uncaught exception", exc_info=error)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    if what.exc_value is not None:
        error = (what.exc_type, what.exc_value, what.exc_traceback)
        logger.error("an exception had nowhere to go", exc_info=error)
