"""Numbers written as text: plain, with separators, or with a currency or percent sign.

Needs the standard library only, because training and serving share it.
"""

from __future__ import annotations

import math
import re

PLAIN = "plain"

WRITINGS = {
    PLAIN: "plain numbers",
    "grouped_comma": "numbers with thousands separators (1,234.5)",
    "grouped_space": "numbers with blanks as thousands separators (1 234.5)",
    "decimal_comma": "numbers with a decimal comma (1234,5)",
    "grouped_point": "numbers with points as thousands separators and a decimal comma (1.234,5)",
    "grouped_space_comma": "numbers with blanks as thousands separators and a decimal comma (1 234,5)",
}
"""Each way to write a number, with its meaning for people."""

SIGNS = ("%", "$", "€", "£", "¥", "₹", "USD", "EUR", "GBP", "CHF")
"""Percent must follow each number of its reading; a currency may stand before or after it, or be absent."""

READINGS = (*WRITINGS, *(f"{writing} {sign}" for sign in SIGNS for writing in WRITINGS))
"""All readings: a key of `WRITINGS`, and a sign after a blank if the numbers carry one."""

_PATTERNS = {
    PLAIN: r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?",
    "grouped_comma": r"(?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.\d*)?",
    "grouped_space": r"(?:[1-9]\d{0,2}(?:[ '\u2019]\d{3})+|\d+)(?:\.\d*)?",
    "decimal_comma": r"(?:\d+,?\d*|,\d+)(?:[eE][+-]?\d+)?",
    "grouped_point": r"(?:[1-9]\d{0,2}(?:\.\d{3})+|\d+)(?:,\d*)?",
    "grouped_space_comma": r"(?:[1-9]\d{0,2}(?:[ '\u2019]\d{3})+|\d+)(?:,\d*)?",
}
_NUMBERS = {writing: re.compile(rf"[+-]?(?:{pattern})", re.ASCII) for writing, pattern in _PATTERNS.items()}
_GROUPS = {
    PLAIN: "",
    "grouped_comma": ",",
    "grouped_space": " '\u2019",
    "decimal_comma": "",
    "grouped_point": ".",
    "grouped_space_comma": " '\u2019",
}
_CLEANED = {writing: str.maketrans(",", ".", f"{groups} ") for writing, groups in _GROUPS.items()}
_CLEANED["grouped_comma"] = str.maketrans("", "", ", ")
_BLANKS = str.maketrans("\u00a0\u202f\u2009\u2212", "   -")  # no-break and thin blanks, and the sign for minus
_LARGE = {"K": 1e3, "M": 1e6, "B": 1e9}  # after a number with a currency sign


def is_number(text: str) -> bool:
    """Return whether a text is a number as Python writes it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def parse_number(text: str, reading: str = PLAIN) -> float | None:
    """Read a number as a column's reading says.

    Args:
        text: without outer blanks.
        reading: one of `READINGS`.

    Returns:
        The number, finite; 15 for `15%`, 5.67e7 for `$56.7M`. None if the text is not a number of this reading.
    """
    writing, _, sign = reading.partition(" ")
    factor: float | None = 1.0
    if writing != PLAIN or sign:
        text = text.translate(_BLANKS)
    if sign:
        text, factor = _without_sign(text, sign)
    if factor is None or not _NUMBERS[writing].fullmatch(text):
        return None
    value = float(text if writing == PLAIN and not sign else text.translate(_CLEANED[writing])) * factor
    return value if math.isfinite(value) else None


def describe_reading(reading: str) -> str:
    """Say how numbers of a reading are written, for people."""
    writing, _, sign = reading.partition(" ")
    if not sign:
        return WRITINGS[writing]
    return f"numbers with the sign {sign}" if writing == PLAIN else f"{WRITINGS[writing]} and the sign {sign}"


def _without_sign(text: str, sign: str) -> tuple[str, float | None]:
    """Return the text without its sign and a factor; the factor is None if a sign is missing or twice."""
    count = text.count(sign)
    if sign == "%":
        return text[:-1].rstrip(), 1.0 if count == 1 and text.endswith(sign) else None
    if count == 0:
        return text, 1.0
    minus = text[:1] if text[:1] in "+-" else ""
    rest = text[len(minus) :].strip()
    rest = rest.removeprefix(sign) if rest.startswith(sign) else rest.removesuffix(sign)
    rest = rest.strip()
    if not minus and rest[:1] in "+-":
        minus, rest = rest[:1], rest[1:].lstrip()
    factor = _LARGE.get(rest[-1:].upper(), 1.0)
    if factor != 1.0:
        rest = rest[:-1].rstrip()
    return minus + rest, factor if count == 1 else None
