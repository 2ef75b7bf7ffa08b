"""Where this process and all that it starts keep caches and temporary files; it must not know what those are.

That is the state folder, so that the folder of the settings is the only one that has to be writable for them: workers
leave their figures for each other there, and trainings what matplotlib found out about fonts.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from app.errors import ConfigurationError
from app.settings import Settings

logger = logging.getLogger(__name__)

FOLDER = "scratch"
_VARIABLES = {"TMPDIR": "tmp", "MPLCONFIGDIR": "matplotlib"}  # and the folders that they are to name


def use_scratch(settings: Settings) -> None:
    """Name the folders where libraries and child processes look for them: in the environment.

    Where the state folder cannot be written, the system's folder for temporary files will do, and who needs neither
    does without.

    Raises:
        ConfigurationError: if there is no folder, and the settings ask for what needs one.
    """
    scratch = settings.state_dir.absolute() / FOLDER
    try:
        os.environ.update({variable: str(_writable(scratch / name)) for variable, name in _VARIABLES.items()})
    except OSError as error:
        why = error.strerror
    else:
        tempfile.tempdir = None  # what was found before does not count
        return
    try:
        logger.info("the state folder cannot be written: temporary files are kept in %s", tempfile.gettempdir())
    except OSError as error:
        if _needed(settings):
            raise ConfigurationError(
                f"TABSERVE_STATE_DIR={settings.state_dir}: {why}, and no folder for temporary files (TMPDIR) can be "
                "written either; several workers and trainings need one of them"
            ) from error


def _needed(settings: Settings) -> bool:
    """Tell whether there are figures to share, or trainings that may run: of a table in SQLite there are none."""
    trains = bool(settings.train_concurrency) and settings.database_url is not None
    return settings.workers > 1 or settings.train_missing or trains


def _writable(folder: Path) -> Path:
    """Return the folder, made if absent, in which a file can be made.

    Raises:
        OSError: if it cannot.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder
