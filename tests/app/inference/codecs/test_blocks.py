"""Blocks of rows: their numbers, bad rows and parts."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import Problem
from app.inference.codecs.blocks import RowBlock, require_few
from app.inference.errors import TooManyRows

WRONG = Problem(7, "left", "is wrong")


def block(bad: dict[int, Problem], numbers: list[int] | None = None) -> RowBlock:
    return RowBlock(np.arange(10, dtype=np.float32).reshape(5, 2), 3, bad, numbers)


def test_rows_are_numbered_from_the_first_unless_blank_lines_are_between_them() -> None:
    assert [block({}).number(place) for place in range(5)] == [3, 4, 5, 6, 7]
    assert [block({}, [3, 5, 6, 9, 10]).number(place) for place in range(5)] == [3, 5, 6, 9, 10]


@pytest.mark.parametrize("numbers", [None, [3, 5, 6, 9, 10]], ids=["consecutive", "with blank lines"])
@pytest.mark.parametrize("rows", [1, 2, 4, 5, 9])
def test_parts_have_the_rows_the_numbers_and_the_bad_rows_of_the_whole(rows: int, numbers: list[int] | None) -> None:
    whole = block({0: WRONG, 3: WRONG}, numbers)

    parts = list(whole.parts(rows))

    assert [len(part.x) for part in parts[:-1]] == [rows] * (len(parts) - 1)
    assert np.concatenate([part.x for part in parts]).tolist() == whole.x.tolist()
    every = [(part.number(place), part.bad.get(place)) for part in parts for place in range(len(part.x))]
    assert every == [(whole.number(place), whole.bad.get(place)) for place in range(5)]


def test_document_may_have_as_many_rows_as_the_limit_and_no_more() -> None:
    require_few(3, 3)
    with pytest.raises(TooManyRows):
        require_few(4, 3)
