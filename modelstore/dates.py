"""Dates and times written as text: ISO 8601 and common patterns of day, month and year.

Needs the standard library only, because training and serving share it.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

DIGITS = "%Y%m%d"
ISO = "default"  # the word of Frictionless Table Schema for ISO 8601

FORMATS = {
    ISO: "year-month-day",
    "%Y/%m/%d": "year/month/day",
    "%d/%m/%Y": "day/month/year",
    "%m/%d/%Y": "month/day/year",
    "%d.%m.%Y": "day.month.year",
    "%d-%m-%Y": "day-month-year",
    "%m-%d-%Y": "month-day-year",
    "%d/%m/%y": "day/month/year of two digits",
    "%m/%d/%y": "month/day/year of two digits",
    "%d %b %Y": "day, name of the month, year",
    "%d-%b-%Y": "day-name of the month-year",
    "%b %d, %Y": "name of the month, day, year",
    DIGITS: "year, month and day as eight digits",
}
"""Each pattern that is recognised, with its meaning for people. A time of day may follow in each of them."""

FIRST_DIGITS, LAST_DIGITS = 19_000_101, 21_001_231  # most numbers of eight digits that are no dates lie outside

EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = date.min.toordinal() - EPOCH, date.max.toordinal() - EPOCH  # years 1 to 9999, as `datetime` has
PIVOT = 69  # years of two digits from here are of the 20th century, as `strptime` reads them
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_PARTS = {
    "%Y": r"(?P<year>\d{4})",
    "%y": r"(?P<year>\d\d)",
    "%m": r"(?P<month>\d\d?)",
    "%b": r"(?P<month>(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6})\.?",
    "%d": r"(?P<day>\d\d?)",
}
_ISO_DATE = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_DIGITS_DATE = r"(?P<year>(?:19|20)\d\d|2100)(?P<month>\d\d)(?P<day>\d\d)(?:\.0)?"  # pandas writes .0 beside gaps
_TIME = (
    r"(?:(?:t|,? +)(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?(?: ?(?P<half>[ap])\.?m\.?)?"
    r"(?: ?(?P<zone>z|utc|[+-]\d\d(?::?\d\d)?))?)?"
)


def parse_date(text: str, pattern: str = ISO) -> tuple[int, int] | None:
    """Read a date with or without a time of day; ISO 8601 is read whatever the pattern.

    Args:
        text: without outer blanks; names of months are English, in any case.
        pattern: a key of `FORMATS`.

    Returns:
        Whole days since 1970-01-01 and whole seconds of that day, 0 to 86,399, in UTC if the text has an offset and as
        written otherwise; fractions of a second are cut off. None if the text is not such a date, or its offset moves
        it out of the years 1 to 9999.
    """
    found = _pattern(pattern).fullmatch(text) or (pattern != ISO and _pattern(ISO).fullmatch(text))
    if not found:
        return None
    try:
        days = date(_year(found["year"]), _month(found["month"]), int(found["day"])).toordinal() - EPOCH
    except ValueError:
        return None
    seconds = _seconds(found)
    if seconds is None or not FIRST_DAY <= days + seconds // 86_400 <= LAST_DAY:
        return None
    return days + seconds // 86_400, seconds % 86_400


@lru_cache(maxsize=64)
def _pattern(pattern: str) -> re.Pattern[str]:
    fixed = {ISO: _ISO_DATE, DIGITS: _DIGITS_DATE}
    body = fixed.get(pattern) or re.escape(pattern).replace(r"\ ", " ")
    for directive, part in _PARTS.items():
        body = body.replace(directive, part)
    return re.compile(body + _TIME, re.IGNORECASE | re.ASCII)


def _year(digits: str) -> int:
    year = int(digits)
    return year if len(digits) == 4 else year + (1900 if year >= PIVOT else 2000)


def _month(text: str) -> int:
    return int(text) if text.isdigit() else 1 + MONTHS.index(text[:3].lower())


def _seconds(found: re.Match[str]) -> int | None:
    """Return the seconds since the begin of the day in UTC, which may lie on another day; None if out of range."""
    if found["hour"] is None:
        return 0
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if half := found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "pP" else 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    return 3600 * hour + 60 * minute + second - _offset(found["zone"])


def _offset(zone: str | None) -> int:
    if zone is None or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (3600 * int(digits[:2]) + 60 * int(digits[2:])) * (1 if zone[0] == "+" else -1)
