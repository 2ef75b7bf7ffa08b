"""Set the folders for caches and temporary files, for this process and its children.

They lie in the state folder, so that no other folder needs to be writable for them: workers share their metrics there,
and trainings keep matplotlib's font cache there. This module must not know what the files are.
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
_VARIABLES = {"TMPDIR": "tmp", "MPLCONFIGDIR": "matplotlib"}  # variable to subfolder


def use_scratch(settings: Settings) -> None:
    """Name the folders in the environment, where libraries and child processes look for them.

    If the state folder cannot be written, the system's folder for temporary files is used. If that cannot be written
    either, a service that needs no such folder runs without one.

    Raises:
        ConfigurationError: if neither folder can be written and the settings need one.
    """
    scratch = settings.state_dir.absolute() / FOLDER
    try:
        os.environ.update({variable: str(_create_writable(scratch / name)) for variable, name in _VARIABLES.items()})
    except OSError as error:
        why = error.strerror
    else:
        tempfile.tempdir = None  # drop the cached folder, so that TMPDIR is read again
        return
    try:
        logger.info("the state folder cannot be written: temporary files are kept in %s", tempfile.gettempdir())
    except OSError as error:
        if _needs_folder(settings):
            raise ConfigurationError(
                f"TABSERVE_STATE_DIR={settings.state_dir}: {why}, and no folder for temporary files (TMPDIR) can be "
                "written either; several workers and trainings need one of them"
            ) from error


def _needs_folder(settings: Settings) -> bool:
    """Tell whether workers share metrics or trainings may run.

    With SQLite no training can run, because the job table lies in the state folder, which cannot be written.
    """
    trains = bool(settings.train_concurrency) and settings.database_url is not None
    return settings.workers > 1 or settings.demo or trains


def _create_writable(folder: Path) -> Path:
    """Return the folder, created if missing, after a test that a file can be created in it.

    Raises:
        OSError: if no file can be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        return folder
