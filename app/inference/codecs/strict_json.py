"""Parse JSON strictly: no duplicate names, no deep nesting, and errors with their position.

It is slow. A lenient parser may be used instead where the text is known to hold nothing that this parser refuses. This
module must not know what a document means, nor HTTP or torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

from app.errors import MalformedBody

MAX_DEPTH = 16  # no valid body is half as deep

# A fast parser reads this much in about 15 ms, during which it holds the interpreter and so blocks all threads. Larger
# bodies that cannot be read in steps are read here, where threads take turns.
MOST_AT_ONCE_BYTES = 1 << 20

_TOO_DEEP = "is nested too deeply; rows are arrays or objects of numbers"
_MAX_DIGITS = 40
_MAX_NAMES = 100_000
_LEAST_EXACT, _ABOVE_EXACT = -(2.0**63), 2.0**64  # between them, a lenient parser reads integers as such


class DigitsLost(Exception):
    """Digits matter, and a lenient parser may have lost some; `parse` must read the text."""


def parse(body: bytes) -> Any:
    """Parse JSON by RFC 8259, but accept NaN and Infinity as numbers, to be refused later with their position.

    No finite float of the document is beyond 64 bits: it is an integer then, see `as_whole`.

    Raises:
        MalformedBody: if the body is not UTF-8, not JSON, nested too deeply, or an object has a duplicate name.
    """
    return _parse(body, "the body ", "line {0.lineno} column {0.colno}")


def parse_line(line: bytes) -> Any:
    """Parse one line of a body as `parse` does; messages are for behind its number, and say the column alone."""
    return _parse(line, "", "column {0.colno}")


def _parse(text: bytes, subject: str, place: str) -> Any:
    try:
        document = json.loads(text.decode("utf-8"), parse_int=_integer, parse_float=_float, object_pairs_hook=_object)
        _require_shallow(document)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"{subject}must be UTF-8, byte {error.start} is not") from error
    except json.JSONDecodeError as error:
        problem = error.msg.lower().removesuffix(" at")
        raise MalformedBody(f"{subject}is not JSON: {problem} at {place.format(error)}") from error
    except RecursionError as error:
        raise MalformedBody(subject + _TOO_DEEP) from error
    return document


def has_unique_names(text: bytes | bytearray, strings: int, start: int = 0, stop: int | None = None) -> bool:
    """Return whether text that orjson has parsed surely has no duplicate names; if False, `parse` must decide.

    orjson keeps the last of two equal names without a word, and `parse` takes ten times as long. But each string in the
    text has two quotes, so a string that the document lacks shows in their number. Escaped quotes show as well, and
    then `parse` is merely slow.

    Args:
        text: holds the document.
        strings: number of strings in the parsed document, names included; fewer is safe.
        start: where the document starts in the text.
        stop: where it ends; None for the end of the text.
    """
    return text.count(b'"', start, stop) == 2 * strings


def require_digits(value: object) -> None:
    """Refuse a float beyond 64 bits: a lenient parser reads integers of that size as floats, without their last digits.

    Raises:
        DigitsLost.
    """
    if isinstance(value, float) and math.isfinite(value) and not _LEAST_EXACT < value < _ABOVE_EXACT:
        raise DigitsLost


def as_whole(value: Any) -> Any:
    """Return a finite number beyond 64 bits as the integer that its float is, and any other value as it is."""
    if not isinstance(value, int | float) or _LEAST_EXACT < value < _ABOVE_EXACT or not math.isfinite(value):
        return value
    return int(float(value))


def _integer(digits: str) -> float:
    """Read an integer; one beyond the float range becomes infinity, so Python's limit on digits does not apply."""
    return int(digits) if len(digits) <= _MAX_DIGITS else _float(digits)


def _float(digits: str) -> float:
    """Read a number like `float`; as a Python function, it lets other threads run within a large document."""
    value = float(digits)
    return value if _LEAST_EXACT < value < _ABOVE_EXACT else as_whole(value)


def _require_shallow(document: object) -> None:
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [child for node in level for child in _children(node) if isinstance(child, list | dict)]
        if not level:
            return
    raise RecursionError  # as the parser does where it is deeper still


def _children(node: object) -> Iterable[object]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MAX_NAMES:
        raise MalformedBody(f"an object has more than {_MAX_NAMES} names")
    found = dict(pairs)
    if len(found) != len(pairs):
        _refuse_duplicate()
    return found


def _refuse_duplicate() -> NoReturn:
    raise MalformedBody("an object has the same name twice; say each name once")
