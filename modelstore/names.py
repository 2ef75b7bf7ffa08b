"""Check names of models, versions, jobs and attachments, and name the files of the store.

It must not touch the disk: names from a request are matched against a pattern before they become part of a path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelstore.errors import InvalidName

MODEL_FILE = "model.pt"
ONNX_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sig"
OWN_FILES = frozenset({MODEL_FILE, ONNX_FILE, MANIFEST_FILE, SIGNATURE_FILE})  # all others are attachments
ACTIVE_FILE = "ACTIVE"
PREVIOUS_FILE = "PREVIOUS"
SHADOW_FILE = "SHADOW"
CARD_FILE = "CARD"
LAST_VERSION_FILE = "LAST_VERSION"
LOCK_FILE = ".lock"
STAGING_PREFIX = ".staging-"
REMOVED_PREFIX = ".removed-"
PERMITS_FOLDER = ".permits"

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
VERSION = re.compile(r"[1-9][0-9]{0,8}")
RESERVED = frozenset({"stats"})  # GET /v2/models/stats is the statistics of all models and would hide this one
PICTURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\.png")
PLOT_DATA = re.compile(r"[a-z0-9][a-z0-9_-]{0,58}\.json")  # what a plot shows; a manifest is not among them
_ATTACHMENT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_JOB = re.compile(r"[0-9a-z]{1,64}")


def check_name(name: str) -> str:
    """Return the name if it is a valid model name.

    Raises:
        InvalidName: unless it is 1 to 64 of a-z, 0-9, `_`, `-`, starting with a letter or digit.
    """
    if not NAME.fullmatch(name):
        raise InvalidName("a model name", name, "1 to 64 of a-z, 0-9, '_' and '-', starting with a letter or digit")
    return name


def check_new_name(name: str) -> str:
    """Return the name if a new model may be published under it.

    Raises:
        InvalidName: if it is not valid, or is reserved by the Open Inference Protocol, which would hide the model.
    """
    if check_name(name) in RESERVED:
        raise InvalidName("a new model's name", name, "one that hides behind no address of the service")
    return name


def check_version(version: int | str) -> int:
    """Return the version as an integer.

    Raises:
        InvalidName: unless it is a whole number from 1 to 999999999 without leading zeros.
    """
    if isinstance(version, bool) or not VERSION.fullmatch(str(version)):
        raise InvalidName("a version", version, "a whole number from 1 to 999999999")
    return int(version)


def check_job(job: str) -> str:
    """Return the id if it is a valid job id.

    Raises:
        InvalidName: unless it is 1 to 64 of a-z and 0-9.
    """
    if not _JOB.fullmatch(job):
        raise InvalidName("a job", job, "1 to 64 of a-z and 0-9")
    return job


def check_attachments(files: Iterable[str]) -> None:
    """Check names of attachments.

    Raises:
        InvalidName: unless each is a bare lower-case file name that is not reserved for a version's own files.
    """
    for file in files:
        if not _ATTACHMENT.fullmatch(file) or file in OWN_FILES:
            raise InvalidName("an attachment", file, "a bare lower-case file name")
