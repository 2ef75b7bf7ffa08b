"""Lines of names among the rows: the header, and its repetitions below."""

from __future__ import annotations

import pytest

from training.data.names_again import NamesAgain

HEADER = ["show", "season", "who", "week 1", "week 2", "9"]
BELOW = ["show", "season", "id", "1", "2", "9"]
NAMES = NamesAgain(HEADER, [BELOW], [",".join(HEADER).encode(), ",".join(BELOW).encode()])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (HEADER, True),
        (BELOW, True),
        (["Dance", "season", "id", "1", "2", "9"], True),
        (["Dance", "season", "", "1", "2", "9"], True),
        (["Dance", "season", "", "3", "4", "9"], False),
        (["Dance", "season", "", "", "", ""], False),
        (["Dance", "13", "id", "1", "2", "9"], False),
        (["Dance", "13", "Ann", "1", "2", "9"], False),
        (["", "", "", "", "", ""], False),
    ],
)
def test_line_of_names_is_told_from_a_row(cells: list[str], expected: bool) -> None:
    assert NAMES.is_one(cells) is expected
    assert NAMES.may_be_in(b"1,2\n" + ",".join(cells).encode()) or not expected


def test_file_of_one_column_or_without_a_header_has_none() -> None:
    assert not NamesAgain(["x"], [], [b"x"]).is_one(["x"])
    assert not NamesAgain().is_one([])
    assert not NamesAgain().may_be_in(b"x\n")
