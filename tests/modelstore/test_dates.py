"""Texts of dates: days since 1970 and seconds, checked against `datetime`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import hypothesis
import pytest
from hypothesis import strategies as st

from modelstore.dates import FORMATS, parse_date
from tests.properties import examples


def moments(first: datetime, last: datetime) -> st.SearchStrategy[datetime]:
    return st.datetimes(first, last).map(lambda moment: moment.replace(microsecond=0))


MOMENTS = moments(datetime(1, 1, 2), datetime(9999, 12, 30))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def cells(moment: datetime) -> tuple[int, int]:
    """Return days and seconds since 1970 as `datetime` counts them."""
    since = moment.replace(tzinfo=None) - datetime(1970, 1, 1)
    return since.days, since.seconds


@examples(35)
@hypothesis.given(MOMENTS, OFFSETS)
def test_iso_times_are_days_and_seconds_in_utc(moment: datetime, offset: timezone) -> None:
    aware = moment.replace(tzinfo=offset)

    assert parse_date(moment.isoformat()) == parse_date(moment.isoformat(" ")) == cells(moment)
    assert parse_date(aware.isoformat()) == cells(aware.replace(tzinfo=None) - (offset.utcoffset(None)))
    assert parse_date(moment.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")) == cells(moment)


@examples(35)
@hypothesis.given(moments(datetime(1970, 1, 1), datetime(2068, 12, 31)))
def test_each_format_reads_what_strftime_writes_and_iso_as_well(moment: datetime) -> None:
    for pattern in FORMATS:
        written = moment.date().isoformat() if pattern == "default" else moment.strftime(pattern)

        assert parse_date(written, pattern) == (cells(moment)[0], 0), pattern
        assert parse_date(f"{written} {moment:%H:%M:%S}", pattern) == cells(moment), pattern
        assert parse_date(moment.isoformat(), pattern) == cells(moment), pattern


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("12/31/99 3:45 PM", "%m/%d/%y", (10956, 56700)),
        ("12:30", "default", None),
        ("2020-02-30", "default", None),
        ("2020-1-2", "default", None),
        ("2020-01-02 24:00", "default", None),
        ("31/12/2020", "%m/%d/%Y", None),
        ("5 September 2020", "%d %b %Y", (18510, 0)),
        ("2020-01-02T03:04:05.999", "default", (18263, 11045)),
        ("٢٠٢٠-01-02", "default", None),
        ("", "default", None),
        ("20240131", "%Y%m%d", (19753, 0)),
        ("20240131 10:30", "%Y%m%d", (19753, 37800)),
        ("20240131.0", "%Y%m%d", (19753, 0)),
        ("20240131.5", "%Y%m%d", None),
        ("1850-01-02", "%Y%m%d", (-43828, 0)),
        ("18991231", "%Y%m%d", None),
        ("21010101", "%Y%m%d", None),
        ("20230229", "%Y%m%d", None),
        ("2024131", "%Y%m%d", None),
        ("20240131", "default", None),
        ("9999-12-31T23:59:59", "default", (2932896, 86399)),
        ("9999-12-31T23:30-05:00", "default", None),  # a year that `datetime` has not
        ("0001-01-01T00:30+05:00", "default", None),
    ],
)
def test_what_is_no_date_of_the_format_is_none(text: str, pattern: str, expected: tuple[int, int] | None) -> None:
    assert parse_date(text, pattern) == expected
