"""The training child as a command line and an environment; it must not know jobs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.jobs.process import sandbox
from app.settings import Settings

# What the child needs of this process's environment; keys and secrets are not among it.
_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "MPLCONFIGDIR"),
    *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
)
_CHILD_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}


def training_command(settings: Settings, *arguments: str) -> list[str]:
    """Return the command line `python -m training ...` with the folders of these settings."""
    folders = {
        "--models-dir": settings.models_dir,
        "--data-dir": settings.data_dir,
        "--recipes-dir": settings.recipes_dir,
    }
    options = [part for option, folder in folders.items() for part in (option, str(folder))]
    if settings.signing_key_file:
        options += ["--signing-key-file", str(settings.signing_key_file)]
    return [sys.executable, "-m", "training", *arguments, *options]


def inspection_command(file: Path) -> list[str]:
    """Return the command line that looks at a data file and says what it found as one line of JSON."""
    return [sys.executable, "-m", "training", "inspect", str(file), "--json"]


def confined(command: list[str], memory_bytes: int) -> list[str]:
    """Return the command as a child of this process that cannot hurt it; give it a session of its own, too.

    It is niced, may use so much memory, and dies with the thread that starts it: start it from the event loop.
    """
    limits = ["--memory", str(memory_bytes), "--parent", str(os.getpid())]
    return [sys.executable, "-I", "-S", str(Path(sandbox.__file__).resolve()), *limits, "--", *command]


def training_environment() -> dict[str, str]:
    """Return the environment of a training child."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | _CHILD_ENVIRONMENT
