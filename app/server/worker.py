"""Makes the app of one serving process, and arranges that process: collector, threads, logging, trials of models."""

from __future__ import annotations

import contextlib
import gc
import logging
import resource
import sys
from pathlib import Path

from app.api.asgi import Edge
from app.errors import ConfigurationError, ServingError
from app.main import create_app
from app.runtime.load import try_out
from app.runtime.verify.sandbox import TrialProcess
from app.settings import Settings
from app.telemetry.logs.setup import configure
from modelstore import ModelRepository

logger = logging.getLogger(__name__)

BAD_SETTINGS = 3
OTHER_FILES = 48  # what a process opens besides connections: some 30, more while it loads a version or trains
FEWEST_CONNECTIONS = 8
MAX_OPEN_FILES = 1 << 20  # where the system names no limit
# While a version is loaded in a thread, the event loop waits at most so long for the interpreter; Python's own is 5 ms.
SWITCH_INTERVAL_S = 0.0005


def create() -> Edge:
    """Return the app for the settings of the environment.

    Raises:
        SystemExit: with 3, after one line, if it cannot start with these settings.
    """
    settings = Settings()
    log = configure(settings)
    try:
        trial = TrialProcess.fork(try_out)  # here, for later there are threads
        log.start()
        require_listable(settings.models_dir)
        app = create_app(fitting(settings, allow_open_files()), trial)
    except ServingError as error:
        print(f"tabserve: {error}", file=sys.stderr)  # noqa: T201 - the one line an operator is to see
        sys.exit(BAD_SETTINGS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # what is imported stays: the collector, off while importing, need not look at it again and again
    gc.enable()
    return app


def require_listable(models_dir: Path) -> None:
    """Check that the models can be found, if there are any: a folder that is missing may come later.

    Raises:
        ConfigurationError.
    """
    try:
        ModelRepository(models_dir).names()
    except OSError as error:
        problem = f"TABSERVE_MODELS_DIR={models_dir} cannot be listed: {error.strerror}"
        raise ConfigurationError(f"{problem}; name a folder that this user may read") from error


def fitting(settings: Settings, open_files: int) -> Settings:
    """Return the settings with no more connections than this process may open files, said in the log if that is fewer.

    Without a file to spare nobody can connect, no version be loaded and no key be read.
    """
    most = max(FEWEST_CONNECTIONS, open_files - OTHER_FILES)
    if settings.max_connections <= most:
        return settings
    logger.warning(
        "TABSERVE_MAX_CONNECTIONS=%d does not fit into the limit of %d open files (ulimit -Hn), so it is %d",
        settings.max_connections,
        open_files,
        most,
    )
    return settings.model_copy(update={"max_connections": most})


def allow_open_files() -> int:
    """Let this process open as many files as the system allows it, and return how many those are.

    The lower limit that shells set protects programs that use select(2); this one does not, but for a few.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(ValueError, OSError):  # macOS has a limit below what it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
