"""Blocks of rows: their numbers, bad rows and parts."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import Problem
from app.inference.codecs.blocks import RowBlock, require_few
from app.inference.codecs.row_ids import read_cell_id
from app.inference.errors import TooManyRows
from app.receipts import ID_FORM
from app.schema import Float32

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


def test_bad_ids_cost_one_copy_however_many_they_are() -> None:
    whole = block({3: WRONG})
    body, found = whole.x, list[Float32]()

    def read(text: str) -> str | None:
        found.append(whole.x)
        return read_cell_id(text)

    whole.identify(read, ["a", "", "\n", "b" * 1000, "\0"], "order")

    assert whole.ids == ["a", None, None, None, None]
    assert whole.x[2:].tolist() == [[0, 0]] * 3
    assert body.tolist() == np.arange(10).reshape(5, 2).tolist()
    assert whole.bad == {3: WRONG, **{place: Problem(3 + place, "order", ID_FORM) for place in (2, 4)}}
    assert all(x is body for x in found)


def test_document_may_have_as_many_rows_as_the_limit_and_no_more() -> None:
    require_few(3, 3)
    with pytest.raises(TooManyRows):
        require_few(4, 3)
