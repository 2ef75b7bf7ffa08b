"""Read request bodies for the routes: check the content type, then read the bytes.

This module must not know what the bodies mean.
"""

from __future__ import annotations

import re
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.errors import BodyTooLarge, UnsupportedCharset, UnsupportedContentType
from app.api.validation_errors import make_invalid_input
from app.errors import MalformedBody
from app.inference.codecs import strict_json

JSON = "application/json"
MAX_SMALL_BYTES = 1 << 20  # ten thousand features by name
_MAX_LENGTH_DIGITS = 18
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s\";]*)", re.IGNORECASE)
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")

Body = TypeVar("Body", bound=BaseModel)


def media_type(header: str | None) -> str:
    """Return the media type of a Content-Type header in lower case, without its parameters."""
    return (header or "").partition(",")[0].partition(";")[0].strip().lower()


def require_utf8(content_type: str | None) -> None:
    """Check that the Content-Type header of a text body names no encoding but UTF-8.

    Raises:
        UnsupportedCharset.
    """
    if (found := _CHARSET.search(content_type or "")) and found[1].lower() not in _UTF8:
        raise UnsupportedCharset


def check_content_type(given: str | None, accepted: tuple[str, ...] = (JSON,)) -> str:
    """Return the media type of a text body, without its parameters.

    Raises:
        UnsupportedContentType: if it is missing or not one of the accepted types.
        UnsupportedCharset.
    """
    if (found := media_type(given)) not in accepted:
        raise UnsupportedContentType(accepted, found)
    require_utf8(given)
    return found


def declared_length(request: Request) -> int | None:
    """Return the body's size in bytes as declared by Content-Length, or None; only the first 18 digits are read."""
    digits = request.headers.get("content-length", "")[:_MAX_LENGTH_DIGITS]
    return int(digits) if digits.isdecimal() else None


async def read_small(request: Request) -> bytes:
    """Read a small body, which holds instructions and no rows.

    Raises:
        BodyTooLarge.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_SMALL_BYTES:
            raise BodyTooLarge(MAX_SMALL_BYTES, advice="it only says what to do; rows go to PUT /datasets/{name}")
    return bytes(body)


async def read_json(request: Request, kind: type[Body]) -> Body:
    """Read and validate a JSON body strictly.

    Raises:
        UnsupportedContentType, MalformedBody, BodyTooLarge.
        InvalidInput: naming each wrong field; values are not repeated.
    """
    check_content_type(request.headers.get("content-type"))
    return parse_json(await read_small(request), kind)


def parse_json(body: bytes, kind: type[Body]) -> Body:
    """Parse and validate a JSON body.

    Raises:
        MalformedBody.
        InvalidInput: naming each wrong field; values are not repeated.
    """
    try:
        sent = strict_json.parse(body)  # pydantic accepts duplicate names, and nesting 200 deep
        return kind.model_validate_json(body)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise MalformedBody("the body is not JSON; see GET /docs") from error
        raise make_invalid_input(error.errors(include_url=False), kind, sent) from error
