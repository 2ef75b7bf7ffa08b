"""Create the app of one serving process and set up its logging, collector and limits."""

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
from app.runtime.trial import try_out
from app.runtime.verify.sandbox import TrialProcess
from app.settings import Settings
from app.telemetry.logs.setup import configure
from modelstore import ModelRepository

logger = logging.getLogger(__name__)

BAD_SETTINGS = 3
OTHER_FILES = 48  # descriptors besides connections: some 30, more while a version is loaded or a training runs
FEWEST_CONNECTIONS = 8
MAX_OPEN_FILES = 1 << 20  # where the system sets no limit
# Longest time that the event loop waits for the interpreter while a thread loads a version; Python's default is 5 ms.
SWITCH_INTERVAL_S = 0.0005


def create() -> Edge:
    """Create the app from the settings in the environment.

    Raises:
        SystemExit: with 3, after one line on standard error, if the app cannot start with these settings.
    """
    settings = Settings()
    log = configure(settings)
    try:
        trial = TrialProcess.fork(try_out)  # fork before threads exist
        log.start()
        require_listable(settings.models_dir)
        app = create_app(fit_to_open_files(settings, allow_open_files()), trial)
    except (ConfigurationError, ServingError) as error:
        print(f"tabserve: {error}", file=sys.stderr)  # noqa: T201 - the one line an operator is to see
        sys.exit(BAD_SETTINGS)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()  # spare the collector, off during imports, from scanning imported objects again and again
    gc.enable()
    return app


def require_listable(models_dir: Path) -> None:
    """Check that the models folder can be listed; a missing folder is allowed, as it may be created later.

    Raises:
        ConfigurationError.
    """
    try:
        ModelRepository(models_dir).names()
    except OSError as error:
        problem = f"TABSERVE_MODELS_DIR={models_dir} cannot be listed: {error.strerror}"
        raise ConfigurationError(f"{problem}; name a folder that this user may read") from error


def fit_to_open_files(settings: Settings, open_files: int) -> Settings:
    """Return the settings, with `max_connections` reduced to fit the limit of open files; a reduction is logged.

    Without a free descriptor the process can accept no connection, load no version and read no key.
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
    """Raise the limit of open files to the hard limit and return the new limit.

    The lower soft limit protects programs that use select(2); this one uses it only with a few descriptors.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(ValueError, OSError):  # macOS enforces a limit below its hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
