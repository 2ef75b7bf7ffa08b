"""Rows of a table wait for all others only where an addition limits their number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np
import pytest

from app.errors import TooLarge
from app.inference.additions.added import Added
from app.inference.additions.addition import Addition
from app.inference.codecs.blocks import RowBlock
from app.inference.predictions import Predictions
from app.inference.writing import AnswerWriting


class Nothing(Addition):
    """Adds nothing, and takes any number of rows."""

    outputs = ()

    async def answer(self, predictions: Predictions, rows: Sequence[int]) -> Added:
        return Added([b""] * predictions.rows, [])


class AtMostThree(Nothing):
    limits_rows = True

    def expect(self, rows: int) -> None:
        if rows > 3:
            raise TooLarge("at most 3 rows")


class Plain:
    """A format with nothing before or after its rows, and stages that nobody looks at."""

    def head(self) -> bytes:
        return b""

    tail = head

    def record_encode(self) -> None: ...

    def record_compute(self, *_: int) -> None: ...


class Noting(AnswerWriting):
    """Writes for each block how many have been read by then."""

    read = 0

    async def answer(self, block: RowBlock) -> bytes:
        return b"%d " % self.read

    async def blocks(self, count: int) -> AsyncIterator[RowBlock]:
        for number in range(count):
            self.read += 1
            yield RowBlock(np.zeros((1, 2), np.float32), number)


def noting(addition: Addition) -> Noting:
    anything: Any = Plain()
    return Noting(plane=anything, model=anything, stages=anything, writer=anything, additions=(addition,))


def test_rows_are_computed_as_they_arrive_if_nothing_limits_them() -> None:
    writing = noting(Nothing())

    assert b"".join(asyncio.run(writing.collect_stream(writing.blocks(5)))) == b"1 2 3 4 5 "


def test_rows_that_are_limited_are_computed_when_all_are_counted() -> None:
    writing = noting(AtMostThree())

    assert b"".join(asyncio.run(writing.collect_stream(writing.blocks(3)))) == b"3 3 3 "


def test_of_rows_that_are_limited_no_more_are_read_than_may_be() -> None:
    writing = noting(AtMostThree())

    with pytest.raises(TooLarge, match="at most 3 rows"):
        asyncio.run(writing.collect_stream(writing.blocks(1000)))
    assert writing.read == 4
