"""The command that runs the training of a job.

This module must not know processes or tables.
"""

from __future__ import annotations

import json
from pathlib import Path

from app.jobs.process.commands import dialect_arguments, training_command
from app.jobs.records import TrainingJob
from app.settings import Settings
from modelstore import DataOptions, Permit


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
        options = ["--data", str(data), "--target", str(job.target), *dialect_arguments(job.dialect)]
        options += ["--options", "-"] if job.options != DataOptions() else []
        options += ["--features", "-"] if job.features is not None else []
    options += ["--decision", "-"] if job.decision else []
    return training_command(
        settings,
        *("fit", job.model, "--json-lines", "--job", job.id, "--permit", permit.token),
        *("--activate", job.activate, "--keep", str(settings.keep_versions)),
        *("--overrides", json.dumps(job.overrides), *options),
    )


def input_of(job: TrainingJob) -> bytes:
    """Return the standard input of the process: lines with the options of the data, the decision and the features.

    Each is there only if the request has such. They are no arguments, which Linux limits to 128 KiB.
    """
    decision = job.decision and job.decision.model_dump(exclude_none=True)
    features = [job.features] if job.features is not None else []
    lines = [*filter(None, (job.options.to_dict(), decision)), *features]
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()
