"""Audit files: written for a test, and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.security.audit.chain import AuditFile

Line = dict[str, Any]


def written(path: Path, *numbers: int) -> AuditFile:
    """Append entries one by one, and return the file, open."""
    file = AuditFile(path)
    for number in numbers:
        file.append([{"action": "test", "number": number}])
    return file


def lines(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def records(path: Path, action: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [record for record in found if record["action"] == action]
