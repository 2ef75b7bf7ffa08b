"""Permits: the revocable right of a training job to publish a version.

Callers must hold the model's lock, so that a revoked permit is useless whatever the job was about to do.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from modelstore.disk import replace
from modelstore.names import PERMITS_FOLDER, check_job


@dataclass(frozen=True)
class Permit:
    """The right of one job to publish.

    Attributes:
        job: id of the job, 1 to 64 of a-z and 0-9.
        token: the secret that `ModelRepository.permit` returned.
    """

    job: str
    token: str


def give(folder: Path, job: str) -> str:
    """Record a new permit of a job in a model's folder, and return its token.

    Raises:
        InvalidName, OSError.
    """
    path = _path(folder, job)
    token = secrets.token_hex(16)
    path.parent.mkdir(exist_ok=True)
    replace(path, token.encode())
    return token


def revoke(folder: Path, job: str) -> None:
    """Revoke the permit of a job, if it has one.

    Raises:
        InvalidName, OSError.
    """
    _path(folder, job).unlink(missing_ok=True)


def is_valid(folder: Path, permit: Permit) -> bool:
    """Return whether a permit was given and has not been revoked.

    Raises:
        InvalidName, OSError.
    """
    try:
        token = _path(folder, permit.job).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return secrets.compare_digest(token, permit.token.encode())


def _path(folder: Path, job: str) -> Path:
    return folder / PERMITS_FOLDER / check_job(job)
