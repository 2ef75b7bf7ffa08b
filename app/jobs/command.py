"""The command that runs the training of a job.

This module must not know processes or tables.
"""

from __future__ import annotations

import json
from pathlib import Path

from app.jobs.process.commands import dialect_arguments, training_command
from app.jobs.records import TrainingJob
from app.settings import Settings
from modelstore import Feedback, Permit


def command_of(job: TrainingJob, data: Path | None, permit: Permit, settings: Settings) -> list[str]:
    """Return the command line of a job's training; `data` is the file of its data set, None if it uses a recipe."""
    request = job.request
    options: list[str] = []
    if data is not None:
        options = ["--data", str(data), "--target", str(request.target), *dialect_arguments(job.dialect)]
        options += ["--options", "-"] if request.to_dict() else []
        options += ["--features", "-"] if request.features is not None else []
    options += ["--decision", "-"] if request.decision else []
    options += ["--abstain", "-"] if request.abstain else []
    options += ["--card", "-"] if request.card else []
    options += ["--feedback", "-"] if request.include_feedback else []
    options += ["--database", "-"] if _shares_search(job, settings) else []
    options += ["--only-search"] if job.search_of else []
    return training_command(
        settings,
        *("fit", job.model, "--json-lines", "--job", job.id, "--permit", permit.token),
        *(("--activate", request.activate) if request.activate else ()),
        *("--keep", str(settings.keep_versions)),
        *("--overrides", json.dumps(request.overrides.to_dict()), *options),
    )


def input_of(job: TrainingJob, settings: Settings, feedback: Feedback | None = None) -> bytes:
    """Return the standard input of the process.

    It has a line each with database, rows of feedback, options of the data, policies, card and features.

    Each is there only if the request has such. They are no arguments, which Linux limits to 128 KiB and shows to all
    users. Only a search gets the database, in which it keeps what it tried.
    """
    database = f"{settings.database_url}\n" if _shares_search(job, settings) else ""
    request = job.request
    decision = request.decision and request.decision.model_dump(exclude_none=True)
    features = [request.features] if request.features is not None else []
    abstain = request.abstain and request.abstain.model_dump(exclude_none=True)
    card = request.card and request.card.model_dump(mode="json", exclude_none=True)
    lines = [*filter(None, (request.to_dict(), decision, abstain, card)), *features]
    rows = f"{feedback.model_dump_json()}\n" if feedback else ""
    return (database + rows + "".join(f"{json.dumps(line)}\n" for line in lines)).encode()


def _shares_search(job: TrainingJob, settings: Settings) -> bool:
    """Return whether the training is a search that shares what it tries with other hosts; a recipe may be one, too."""
    return bool(settings.database_url and (job.request.overrides.search or job.request.workers > 1))
