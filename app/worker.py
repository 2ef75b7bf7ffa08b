"""Makes the app of one serving process, and arranges that process: collector, threads, logging, trials of models."""

from __future__ import annotations

import gc
import logging
import sys

from app.edge import Edge
from app.errors import ServingError
from app.main import create_app
from app.runtime import try_out
from app.settings import Settings
from app.trial import TrialProcess

BAD_SETTINGS = 3
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# While a version is loaded in a thread, the event loop waits at most so long for the interpreter; Python's own is 5 ms.
SWITCH_INTERVAL_S = 0.0005


def create() -> Edge:
    """Return the app for the settings of the environment.

    Raises:
        SystemExit: with 3, after one line, if it cannot start with these settings.
    """
    settings = Settings()
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT)
    try:
        app = create_app(settings, TrialProcess.fork(try_out))  # here, for later there are threads
    except ServingError as error:
        print(f"tabserve: {error}", file=sys.stderr)  # noqa: T201 - the one line an operator is to see
        sys.exit(BAD_SETTINGS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what is imported stays: the collector, off while importing, need not look at it again and again
    gc.enable()
    return app
