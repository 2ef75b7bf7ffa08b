"""Lines as rows, each with the line at which it begins."""

from __future__ import annotations

import csv

from training.data.csv_exact import ExactRows


def test_rows_have_the_line_at_which_they_begin_and_blank_lines_are_counted() -> None:
    rows = ExactRows(["a,b\n", "\n", " \t\r\n", 'c,"d\n', 'e"\n', "f\n"], 7)

    assert list(rows) == [(["a", "b"], 7), (["c", "d\ne"], 10), (["f"], 12)]
    assert (rows.blank_lines, rows.consumed, rows.unclosed, rows.problem) == (2, 6, False, "")


def test_row_that_ends_inside_its_quotes_is_the_last_and_unclosed() -> None:
    rows = ExactRows(["a,b\n", 'c,"d\n', "e,f\n"], 1)

    assert [line for _, line in rows] == [1, 2]
    assert rows.unclosed


def test_cell_that_is_too_long_ends_the_rows_with_a_problem() -> None:
    rows = ExactRows(["a\n", "x" * (csv.field_size_limit() + 1)], 1)

    assert list(rows) == [(["a"], 1)]
    assert (rows.line, "is a quote not closed?" in rows.problem) == (2, True)


def test_reading_stops_after_the_rows_that_were_asked_for() -> None:
    rows = ExactRows(["a\n", "b\n", "c\n"], 1)

    assert next(iter(rows)) == (["a"], 1)
    assert rows.consumed == 1
