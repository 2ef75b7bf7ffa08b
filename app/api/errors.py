"""Errors of request bodies, before their content is read.

`error_responses` renders every error of the service, and `error_handlers` connects it with FastAPI.
"""

from __future__ import annotations

from app.errors import TooLarge, UnsupportedMediaType
from modelstore.reading import LINE_ENDS_LOST

_FORM = "application/x-www-form-urlencoded"


class UnsupportedContentType(UnsupportedMediaType):
    """There is no codec for this content type."""

    def __init__(self, accepted: tuple[str, ...], given: str = "") -> None:
        form = f" (curl -d says that it sends a form; {LINE_ENDS_LOST})" if given == _FORM else ""
        super().__init__(f"this route takes {' or '.join(accepted)}; set the Content-Type header accordingly{form}")


class UnsupportedCharset(UnsupportedMediaType):
    """The text is declared in an encoding other than UTF-8; decoding it as UTF-8 would fail or corrupt it."""

    def __init__(self) -> None:
        super().__init__("text must be in UTF-8: convert it, and say charset=utf-8 or no charset at all")


class FileInForm(UnsupportedMediaType):
    """The data set is a part of a form."""

    def __init__(self) -> None:
        super().__init__("send the file itself, not a form that holds it: curl -T FILE instead of curl -F")


class BodyTooLarge(TooLarge):
    """The body is larger than the limit of the route."""

    def __init__(
        self, limit_bytes: int, setting: str | None = None, advice: str = "send the rows in several requests"
    ) -> None:
        named = f" ({setting})" if setting else ""
        super().__init__(f"the body may have at most {limit_bytes} bytes{named}; {advice}")
        self.limit_bytes = limit_bytes
