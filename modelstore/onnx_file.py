"""The record of `model.onnx`, the same function as `model.pt` for another engine.

It must not know what the file contains.
"""

from __future__ import annotations

import hashlib
import os
from typing import Annotated, Self

from pydantic import Field

from modelstore.records import Record, Sha256


def forbid_telemetry() -> None:
    """Keep ONNX Runtime from sending usage data to its maker; call it before the library is imported.

    Its builds for Linux do so from the import on, and `disable_telemetry_events` comes too late for the first ones
    (`Privacy.md` of the package).
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


class OnnxFile(Record):
    """What a manifest says about `model.onnx`.

    Attributes:
        sha256: SHA-256 of the file.
        size_bytes: its length.
        opset: version of the standard's operator set that it uses.
    """

    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=1)]
    opset: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, data: bytes, opset: int) -> Self:
        """Return the record of a file with these bytes."""
        return cls(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data), opset=opset)
