"""Parameters in paths that several routes take, as the document shows them.

A name that cannot exist is answered 404 like one that does not, so those patterns are told and not enforced. A version
is a number as the service writes it: of the other ways to write one (01, +1, 1.0) none leads to it.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Path
from pydantic import BeforeValidator

from app.api.schemas.models import MAX_VERSION

_WRITTEN = re.compile(r"0|-?[1-9][0-9]*")
_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def _plain(text: str) -> str:
    """Refuse what pydantic would take for a number, and nobody else writes so."""
    if not _WRITTEN.fullmatch(text):
        raise ValueError("is no version; versions are 1, 2, 3, ...")
    return text


ModelPath = Annotated[str, Path(json_schema_extra={"pattern": _NAME})]
DatasetPath = Annotated[str, Path(json_schema_extra={"pattern": _NAME})]
JobPath = Annotated[str, Path(json_schema_extra={"pattern": r"^[0-9a-z]{1,64}$"})]
VersionPath = Annotated[int, BeforeValidator(_plain), Path(json_schema_extra={"minimum": 1, "maximum": MAX_VERSION})]
