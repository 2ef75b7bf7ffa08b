"""Headers, and lines around the rows."""

from __future__ import annotations

import pytest

from modelstore import Dialect
from training.data.dialect import Syntax
from training.data.layout import Layout, find_footer, find_layout


def layout(text: str, given: Dialect | None = None) -> Layout:
    rows = [(line.split(","), at, at) for at, line in enumerate(text.splitlines(), start=1)]
    return find_layout(rows, given or Dialect())


@pytest.mark.parametrize(
    ("text", "names", "header", "above", "below"),
    [
        ("a,b,k\n1,2,x\n3,4,y", ("a", "b", "k"), True, 0, 0),
        ("1,2,x\n3,4,y\n1,2,x", ("c1", "c2", "c3"), False, 0, 0),
        ("0,1,2\n3,4,y\n5,6,y", ("0", "1", "2"), True, 0, 0),
        ("Report\na,b,k\n1,2,x\n3,4,y", ("a", "b", "k"), True, 1, 0),
        ("a,b,k\nkg,cm,\n1,2,x\n3,4,y", ("a", "b", "k"), True, 0, 1),
        ("a,b,k\na,b,z\n1,2,x\n3,4,y", ("a", "b", "k"), True, 0, 1),
        ("a,b,k\na,b,1\n1,b,x\n3,b,y", ("a", "b", "k"), True, 0, 1),
        ("a,b,k,m\na,b,1,2\na,b,3,4\n3,4,5,6", ("a", "b", "k", "m"), True, 0, 0),
        (",a,k\n0,2,x\n1,4,y", ("c1", "a", "k"), True, 0, 0),
        ("a,k,\n2,x,\n4,y,", ("a", "k"), True, 0, 0),
        ("a,k\n2,x,\n4,y,", ("a", "k"), True, 0, 0),
        ("a,,k\n2,9,x\n4,8,y", ("a", "c2", "k"), True, 0, 0),
    ],
)
def test_names_and_lines_that_are_no_rows_are_found(
    text: str, names: tuple[str, ...], header: bool, above: int, below: int
) -> None:
    found = layout(text)

    assert (found.names, found.header, found.skip_rows, found.skip_below) == (names, header, above, below)
    assert found.notes or not ({"c1", "c2"} & set(names) or above or below)


def test_first_line_is_names_if_a_person_says_so() -> None:
    assert layout("1,2\n3,4\n1,2", Dialect(header=True)).names == ("1", "2")


def test_totals_and_remarks_at_the_end_are_no_rows() -> None:
    lines = ["1,2,x\n", "\n", "Total,,3\n", "Source: a book\n"]

    assert find_footer(lines, None, 3, Syntax()) == 2
    assert find_footer(lines, 0, 3, Syntax()) == 0
    assert find_footer(lines, 3, 3, Syntax()) == 4
