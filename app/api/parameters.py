"""Path parameters shared by several routes, with their patterns for the OpenAPI document.

An impossible name is answered 404, like a name that does not exist, so the patterns of names are documented but not
enforced. A version must be written as the service writes it; other spellings of a number (01, +1, 1.0) are refused.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Path
from pydantic import BeforeValidator

from app.api.schemas.models import MAX_VERSION

_WRITTEN = re.compile(r"0|-?[1-9][0-9]*")
_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def _require_plain(text: str) -> str:
    """Refuse unusual spellings of a number that pydantic would accept."""
    if not _WRITTEN.fullmatch(text):
        raise ValueError("is no version; versions are 1, 2, 3, ...")
    return text


Version = Annotated[int, BeforeValidator(_require_plain)]
ModelPath = Annotated[str, Path(json_schema_extra={"pattern": _NAME})]
DatasetPath = Annotated[str, Path(json_schema_extra={"pattern": _NAME})]
JobPath = Annotated[str, Path(json_schema_extra={"pattern": r"^[0-9a-z]{1,64}$"})]
PlotPath = Annotated[str, Path(json_schema_extra={"pattern": r"^[a-z0-9][a-z0-9_-]{0,59}$"})]
VersionPath = Annotated[Version, Path(json_schema_extra={"minimum": 1, "maximum": MAX_VERSION})]
