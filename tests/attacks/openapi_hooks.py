"""What schemathesis must be told about this API's formats; it is loaded by its command line, never by a test."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, Response, SerializationContext

from app.api.schemas.common import BULK_TYPES


def as_bytes(_context: SerializationContext, value: object) -> bytes:
    """Send whatever was made up as it is: in these formats it is the bytes that may be wrong."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


for media_type in BULK_TYPES:
    schemathesis.serializer(media_type)(as_bytes)


@schemathesis.check
def strangers_are_refused(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Check that nothing that needs a key is answered without one; its own check does not know 429 for wrong keys."""
    needs_key = case.operation.definition.raw.get("security")
    if needs_key and "authorization" not in {name.lower() for name in response.request.headers}:
        assert response.status_code in (401, 429), f"{response.status_code} without a key"
