"""Reads request bodies for the routes: content type first, then the bytes; it must not know what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.codecs import precise_json
from app.errors import MAX_PROBLEMS, BodyTooLarge, InvalidInput, MalformedBody, Problem, UnsupportedContentType
from modelstore.overrides import unknown

JSON = "application/json"
MAX_SMALL_BYTES = 1 << 20  # ten thousand features by name
_MAX_LENGTH_DIGITS = 18

Body = TypeVar("Body", bound=BaseModel)


def media_type(header: str | None) -> str:
    """Return the first media type of a Content-Type or Accept header in lower case, without its parameters."""
    return (header or "").partition(",")[0].partition(";")[0].strip().lower()


def check_content_type(given: str | None, accepted: tuple[str, ...] = (JSON,)) -> str:
    """Return the media type without its parameters.

    Raises:
        UnsupportedContentType: unless it is one of the accepted ones; a missing one is not guessed.
    """
    if (found := media_type(given)) not in accepted:
        raise UnsupportedContentType(accepted)
    return found


def declared_length(request: Request) -> int | None:
    """Return the body's size in bytes if a header says it; more digits than any body needs are cut off."""
    digits = request.headers.get("content-length", "")[:_MAX_LENGTH_DIGITS]
    return int(digits) if digits.isdecimal() else None


async def read_small(request: Request) -> bytes:
    """Return a body that says what to do and holds no rows.

    Raises:
        BodyTooLarge.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_SMALL_BYTES:
            raise BodyTooLarge(MAX_SMALL_BYTES, "it only says what to do; rows go to PUT /datasets/{name}")
    return bytes(body)


async def read_json(request: Request, kind: type[Body]) -> Body:
    """Read a JSON body strictly.

    Raises:
        UnsupportedContentType, MalformedBody, BodyTooLarge.
        InvalidInput: naming each wrong field; what was sent is not repeated.
    """
    check_content_type(request.headers.get("content-type"))
    return parsed(await read_small(request), kind)


def parsed(body: bytes, kind: type[Body]) -> Body:
    """Return what a JSON body says.

    Raises:
        MalformedBody.
        InvalidInput: naming each wrong field; what was sent is not repeated.
    """
    try:
        precise_json.parse(body)  # pydantic takes the last of two values of the same name, and goes 200 deep
        return kind.model_validate_json(body)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise MalformedBody("the body is not JSON; see GET /docs") from error
        raise invalid(error) from error


def invalid(error: ValidationError) -> InvalidInput:
    """Return what to tell the client about fields that are wrong; what was sent is not repeated."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)[:MAX_PROBLEMS]
    problems = tuple(Problem(None, place(fault), _problem(fault)) for fault in faults)
    return InvalidInput(f"{problems[0].feature or 'the body'}: {problems[0].problem}; see GET /docs", problems)


def _problem(fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a field; of an override that does not exist, which one may be meant."""
    if fault["type"] == "extra_forbidden" and fault["loc"][:-1] == ("overrides",):
        return unknown(str(fault["loc"][-1]))
    return str(fault["msg"]).lower()


def place(fault: Mapping[str, Any]) -> str | None:
    """Return the dotted name of the field at fault, or of the object around it if the client made up the name."""
    made_up = fault["type"] == "extra_forbidden"
    return ".".join(map(str, fault["loc"][:-1] if made_up else fault["loc"])) or None
