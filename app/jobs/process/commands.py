"""Command lines and environment of the training child; it must not know jobs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.jobs.process import sandbox
from app.settings import Settings
from modelstore import Dialect
from modelstore.dialect import DETECTED

# Variables that the child inherits from this process; keys and secrets are not among them.
_INHERITED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "MPLCONFIGDIR"),
    *("VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"),
)
_CHILD_ENVIRONMENT = {
    "MPL_IGNORE_SYSTEM_FONTS": "1",  # matplotlib has its own; to look for others it starts fc-list
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
}


def training_command(settings: Settings, *arguments: str) -> list[str]:
    """Return the command line `python -m training ...` with the folders of the settings."""
    folders = {
        "--models-dir": settings.models_dir,
        "--data-dir": settings.data_dir,
        "--recipes-dir": settings.recipes_dir,
    }
    options = [part for option, folder in folders.items() for part in (option, str(folder))]
    if settings.signing_key_file:
        options += ["--signing-key-file", str(settings.signing_key_file)]
    return [sys.executable, "-m", "training", *arguments, *options]


def waiting_command() -> list[str]:
    """Return the command line of a process that waits for the arguments of an inspection on its standard input."""
    return [sys.executable, "-m", "training", "wait"]


def dialect_arguments(dialect: Dialect) -> list[str]:
    """Return the arguments that say how a data file is written; what they leave open is detected."""
    return ["--dialect", dialect.model_dump_json(exclude_none=True)] if dialect != DETECTED else []


def inspection_arguments(file: Path, dialect: Dialect) -> list[str]:
    """Return the arguments with which `python -m training` inspects a data file and prints one line of JSON."""
    return ["inspect", str(file), "--json", *dialect_arguments(dialect)]


def inspection_command(file: Path, dialect: Dialect) -> list[str]:
    """Return the command line that inspects a data file."""
    return [sys.executable, "-m", "training", *inspection_arguments(file, dialect)]


def confine(command: list[str], memory_bytes: int, niceness: int) -> list[str]:
    """Wrap a command so that, as a child of this process, it cannot harm the service.

    It runs with this niceness and at most `memory_bytes` of memory, and is killed when the thread that started it ends,
    so start it from the event loop. The caller must also give it a session of its own.
    """
    limits = ["--memory", str(memory_bytes), "--niceness", str(niceness), "--parent", str(os.getpid())]
    return [sys.executable, "-I", "-S", str(Path(sandbox.__file__).resolve()), *limits, "--", *command]


def training_environment() -> dict[str, str]:
    """Return the environment of a training child."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | _CHILD_ENVIRONMENT
