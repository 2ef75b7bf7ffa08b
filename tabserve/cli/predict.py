"""`tabserve predict`: the rows of a file, predicted here or by a service."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tabserve.cli.models import name_and_version, only, version_folder
from tabserve.client import Client
from tabserve.local import load


@dataclass(frozen=True, slots=True)
class PredictArguments:
    """The arguments of the command; see `tabserve predict --help`."""

    file: Path
    model: str | None
    version: int | None
    output: Path | None
    url: str | None
    key: str | None
    models_dir: Path
    key_file: Path | None
    options: Mapping[str, Any]


def predict_file(asked: PredictArguments) -> None:
    """Predict the rows of a file, and write the answers to a file or to standard output.

    Raises:
        TabserveError, OSError.
    """
    target: Path | IO[bytes] = asked.output or sys.stdout.buffer
    if asked.url is None:
        with load(version_folder(asked.models_dir, asked.model, asked.version), key_file=asked.key_file) as local:
            local.predict(asked.file, to=target, **asked.options)
    else:
        with Client(asked.url, asked.key) as client:
            model = asked.model or only([model.name for model in client.models()], asked.url)
            name, version = name_and_version(model, asked.version)
            client.predict(name, asked.file, to=target, version=version, **asked.options)
    sys.stdout.flush()
