"""The training child as a command line and an environment; it must not know jobs."""

from __future__ import annotations

import os
import sys

from app.settings import Settings

# What the child needs of this process's environment; keys and secrets are not among it.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
_CHILD_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}


def training_command(settings: Settings, *arguments: str) -> list[str]:
    """Return the command line `python -m training ...` with the folders of these settings."""
    folders = {
        "--models-dir": settings.models_dir,
        "--data-dir": settings.data_dir,
        "--recipes-dir": settings.recipes_dir,
    }
    options = [part for option, folder in folders.items() for part in (option, str(folder))]
    return [sys.executable, "-m", "training", *arguments, *options]


def training_environment() -> dict[str, str]:
    """Return the environment of a training child."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | _CHILD_ENVIRONMENT
