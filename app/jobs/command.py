"""The command that runs the training of a job.

This module must not know processes or tables.
"""

from __future__ import annotations

import json
from pathlib import Path

from app.jobs.process.commands import training_command
from app.jobs.records import TrainingJob
from app.settings import Settings
from modelstore import Permit


def command_of(job: TrainingJob, data: Path | None, permit: Permit, settings: Settings) -> list[str]:
    """Return the command line of a job's training.

    Args:
        job: the training.
        data: file of its data set; None if it uses a recipe.
        permit: to publish its version.
        settings: folders of the service.
    """
    options: list[str] = []
    if data is not None:
        options = ["--data", str(data), "--target", str(job.target)]
        options += ["--features", "-"] if job.columns is not None else []
    return training_command(
        settings,
        *("fit", job.model, "--json-lines", "--job", job.id, "--permit", permit.token),
        *("--activate", job.activate, "--keep", str(settings.keep_versions)),
        *("--overrides", json.dumps(job.overrides), *options),
    )


def input_of(job: TrainingJob) -> bytes:
    """Return the names to learn from for the standard input of the process; Linux limits an argument to 128 KiB."""
    return b"" if job.columns is None else json.dumps(job.columns).encode()
