"""The first lines of a table."""

from __future__ import annotations

import pytest

from modelstore import Dialect
from training.data.dialect import Syntax
from training.data.faults import Faults
from training.data.layout import Row, find_layout
from training.data.opening import comment_of, find_decimal, first_rows


@pytest.mark.parametrize(
    ("lines", "mark"),
    [(["# by hand\n", "a,b\n"], "#"), (["#a,b\n", "1,2\n"], ""), (["a,b\n", "1,2\n"], ""), (["% x\n", "% y\n"], "%")],
)
def test_a_comment_is_a_marked_line_that_is_no_header(lines: list[str], mark: str) -> None:
    assert comment_of(lines, Syntax(), Dialect()) == mark
    assert comment_of(lines, Syntax(), Dialect(comment="!")) == "!"


def test_comments_are_known_by_line_and_are_no_rows() -> None:
    rows, comments = first_rows(["# by hand\n", "a,b\n", "# more\n", "1,2\n"], 1, Syntax(), "#", Faults())

    assert ([cells for cells, _, _ in rows], comments) == ([["a", "b"], ["1", "2"]], [1, 3])


def test_a_file_without_a_row_is_a_fault() -> None:
    faults = Faults()
    first_rows([], 1, Syntax(), "", faults)

    assert "the file is empty" in faults.sorted()[0].problem


def test_commas_that_may_be_decimal_or_separate_thousands_are_a_question() -> None:
    faults = Faults()
    cells = [["a", "b"], ["x", "7"], ["y", "1,500"]]
    rows: list[Row] = [(row, line, line) for line, row in enumerate(cells, start=1)]

    find_decimal(rows, find_layout(rows, Dialect(header=True)), faults)

    (fault,) = faults.sorted()
    assert (fault.column, fault.problem) == ("b", "'1,500' may be 1.500 or 1500; say which: decimal=, or decimal=.")
