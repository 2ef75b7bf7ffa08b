"""Describe invalid values and unknown names in the words of this project.

pydantic's own messages use the terms of Python, so none of them is passed on. Sent content is never repeated, except
for the name of a field that is clearly a misspelt known one. It must not know any record.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

_KINDS = {str: "a string", bool: "a boolean", type(None): "null", dict: "an object", list: "an array"}
_TEXT, _WHOLE, _TRUTH, _ARRAY, _OBJECT = "a string", "a whole number", "true or false", "an array", "an object"
_TIME = "a time with its zone, such as 2026-11-26T12:00:00Z"
_DAY = "a day, such as 2026-11-26"
_EXPECTED = {
    "missing": "a value",
    "extra_forbidden": "a known field",
    "string_type": _TEXT,
    "string_unicode": "a string of Unicode characters",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "none_required": "null",
    "list_type": _ARRAY,
    "tuple_type": _ARRAY,
    "set_type": _ARRAY,
    "frozen_set_type": _ARRAY,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "timezone_aware": _TIME,
    "json_invalid": "JSON",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "a string of at least {min_length} characters",
    "string_too_long": "a string of at most {max_length} characters",
    "too_short": "an array of at least {min_length} items",
    "too_long": "an array of at most {max_length} items",
}
_CAME = {
    "int_parsing": "other text",
    "int_parsing_size": "one that is far too large",
    "float_parsing": "other text",
    "finite_number": "NaN or an infinity",
    "bool_parsing": "other text",
    "datetime_parsing": "other text",
    "datetime_from_date_parsing": "other text",
    "date_parsing": "other text",
    "date_from_datetime_parsing": "other text",
    "date_from_datetime_inexact": "a time",
    "timezone_aware": "one without",
    "json_invalid": "something else",
    "greater_than": "{gt} or less",
    "greater_than_equal": "less",
    "less_than": "{lt} or more",
    "less_than_equal": "more",
    "string_too_short": "fewer",
    "string_too_long": "more",
    "string_pattern_mismatch": "another string",
    "too_short": "fewer",
    "too_long": "more",
}
_PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,63}$": "1 to 64 of a-z, 0-9, '_' and '-', starting with a letter or digit",
    r"^[^\x00]+$": "text without NUL characters",
    r"^[^\x00]*$": "text without NUL characters",
    r"^[1-9][0-9]{0,8},[1-9][0-9]{0,8}$": "two versions, such as 3,7",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits",
}
_HARMLESS = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_LIKENESS = 0.7  # at 0.6, `secret` would be `seed`
_MOST_KNOWN = 200  # limit of names to compare with; each comparison takes some microseconds


def describe_expected(fault: Mapping[str, Any]) -> str:
    """Return the expected value for one of pydantic's `errors()`."""
    kind, context = fault["type"], fault.get("ctx") or {}
    if kind == "value_error":
        return str(context.get("error", "")) or "another value"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context.get("pattern", ""), "a string of another form")
    words = _EXPECTED.get(kind, "another value").format_map(_Bounds(context))
    return re.sub(r"\b1 (character|item)s\b", r"1 \1", words)


def describe_problem(fault: Mapping[str, Any]) -> str:
    """Return the problem for one of pydantic's `errors()`: the expected and the received kind of value."""
    kind = fault["type"]
    if kind in ("missing", "extra_forbidden"):
        return "is missing" if kind == "missing" else "is not known"
    if kind == "value_error":
        return describe_expected(fault)
    came = _CAME.get(kind) or _kind_of(fault.get("input"), kind)
    return f"must be {describe_expected(fault)}, got {came.format_map(_Bounds(fault.get('ctx') or {}))}"


def closest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is closest to a misspelt one, or None if none is close."""
    return nearest(name, known) if _HARMLESS.fullmatch(name) else None


def nearest(name: str, known: Iterable[str], most: int = _MOST_KNOWN) -> str | None:
    """Return the known name that is most like an unknown one, or None if none is like it.

    Args:
        name: the unknown name, which need not be harmless; the result is one of the known names.
        known: the names that exist.
        most: limit of known names to compare with; beyond it, the result is None.
    """
    names = {one.lower(): one for one in known}
    if len(names) > most:
        return None
    found = difflib.get_close_matches(name.lower(), names, n=1, cutoff=_LIKENESS)
    return names[found[0]] if found else None


def describe_unknown(name: str, position: int, known: Iterable[str], noun: str = "field") -> tuple[str | None, str]:
    """Return the name to show for an unknown field, if it may be shown, and the problem.

    Args:
        name: the name as it was sent; it is repeated only if it is a misspelt known one.
        position: position among the sent fields, counted from 1.
        known: names of the known fields.
        noun: word for such a field in the message.
    """
    known = tuple(known)
    if meant := closest_name(name, known):
        return name, f"is not known, perhaps {meant} is meant"
    return None, f"{noun} {position} is not known; known are {', '.join(known) or 'none'}"


def suggest_field(name: str, known: Iterable[str]) -> str:
    """Return the expected name in place of an unknown one, or all known names."""
    known = tuple(known)
    meant = closest_name(name, known)
    return f"{meant}, perhaps" if meant else f"one of the fields {', '.join(known)}"


def _kind_of(value: object, kind: str) -> str:
    """Return the kind of a value that is not of the expected kind."""
    if kind.startswith("int_") and isinstance(value, float):
        return "one with a decimal point"
    if kind in ("literal_error", "enum") and isinstance(value, str):
        return "another string"
    return _KINDS.get(type(value), "a number")


class _Bounds(dict[str, Any]):
    """Values for a template; missing ones are replaced, and floats are shown without trailing zeros."""

    def __getitem__(self, key: str) -> object:
        value = self.get(key, "another")
        return f"{value:g}" if isinstance(value, float) else value
