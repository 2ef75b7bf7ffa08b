"""Records of CSV alone: where each begins, what is wrong with it, which is incomplete."""

from __future__ import annotations

import csv
import io

import hypothesis
import pytest
from hypothesis import strategies as st

from app.inference.codecs.csv_records import NO_CSV, describe, is_utf8, join_lines, read_records, split_lines
from tests.properties import examples

BEHIND_A_QUOTE = f"{NO_CSV}: text follows a closing quote; a quote within a field is doubled"


def records(text: str, *, ended: bool = True) -> tuple[list[tuple[int, list[str] | str]], int, int]:
    """Return each record with the index of its first line, the number of blank lines, and that of all lines read."""
    lines, _ = split_lines(text.encode())
    found = read_records(lines, ",", ended=ended)
    return list(zip(found.begins, found.rows, strict=True)), found.blank_lines, found.lines


def test_quoted_field_keeps_its_line_ends_and_the_lines_after_it_their_numbers() -> None:
    assert records('a,"b\n\nc"\r\n\n"d\r\ne",f\rg,h') == (
        [(0, ["a", "b\n\nc"]), (4, ["d\r\ne", "f"]), (6, ["g", "h"])],
        1,
        7,
    )


def test_record_that_is_not_complete_is_left_for_later_unless_the_body_has_ended() -> None:
    text = 'a,b\n"c,d\ne,f\n'

    assert records(text, ended=False) == ([(0, ["a", "b"])], 0, 1)
    assert records(text) == ([(0, ["a", "b"]), (1, "opens a quote that is never closed")], 0, 3)


def test_record_that_is_wrong_ends_where_that_shows() -> None:
    text = '"a"x\n"b\nc\n"d,e\nf\n'

    assert records(text) == (
        [(0, BEHIND_A_QUOTE), (1, f"{BEHIND_A_QUOTE}; its quoted field takes in the 2 lines after it"), (4, ["f"])],
        0,
        5,
    )


def test_field_that_is_too_long_is_said_to_be() -> None:
    text = 'a\n"' + "b\n" * csv.field_size_limit()
    (_, first), (place, second), *_ = records(text)[0]

    assert first == ["a"]
    assert (place, second) == (1, describe(csv.Error("field larger than field limit (131072)")))


def test_bytes_that_are_not_utf8_are_kept_and_show_in_their_fields() -> None:
    data = b"a,\xff\nb,\xc3\xbc\n"
    lines, clean = split_lines(data)
    first, second = read_records(lines, ",", ended=True).rows

    assert not clean
    assert join_lines(lines) == data
    assert not is_utf8([*first])
    assert is_utf8([*second])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@examples(200)
@hypothesis.given(
    st.lists(st.lists(st.text(alphabet='a,"\r\n é', max_size=6), min_size=2, max_size=3), min_size=1, max_size=5)
)
def test_records_are_those_that_the_csv_module_has_written(end: str, rows: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    written = text.getvalue()

    found, blank, lines = records(written, ended=False)

    assert [row for _, row in found] == rows
    assert blank == 0
    assert lines == len(split_lines(written.encode())[0])
