"""What decides the bytes of an output: version, rows, options and libraries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from app.inference.codecs.formats import BulkOptions
from app.scoring.sources import Source
from modelstore import ModelVersion
from modelstore.names import MANIFEST_FILE

LIBRARIES = ("tabserve", "torch", "onnxruntime", "numpy", "pyarrow")
ENGINE = "engine"
"""Field of the engine, which a run chooses when it begins."""


def plan_of(
    found: ModelVersion, sources: Iterable[Source], options: BulkOptions, output: Path, part_bytes: int
) -> dict[str, Any]:
    """Return the plan of a run as JSON has it; the files are read for their hashes."""
    return {
        "version": {
            "model": found.name,
            "number": found.version,
            "manifest_sha256": hashlib.sha256((found.path / MANIFEST_FILE).read_bytes()).hexdigest(),
        },
        "files": [
            {"name": source.path.name, "bytes": source.size_bytes, "sha256": source.sha256()} for source in sources
        ],
        "options": repr(options),
        "format": output.suffix,
        "part size": part_bytes,
        "libraries": {name: _release(name) for name in LIBRARIES},
    }


def difference(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Return a field in which two plans differ, engines aside; None if there is none."""
    names = sorted((one.keys() | other.keys()) - {ENGINE})
    return next((name for name in names if one.get(name) != other.get(name)), None)


def _release(library: str) -> str | None:
    """Return the release of a library; None if it is not installed, as an extra may be."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
