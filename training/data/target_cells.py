"""Collect the cells of the target column, block by block."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from modelstore.numbers import parse_number
from training.data.block import Block
from training.data.columns import TargetColumn
from training.data.decide import say_doubt
from training.data.profile import Profile


class TargetCells:
    """The target's cells so far: a code for each row and a profile of the distinct texts."""

    def __init__(self, name: str) -> None:
        self._profile = Profile(name, np.inf)
        self._ranks: dict[str, int] = {}
        self._codes: list[npt.NDArray[np.int32]] = []

    def __bool__(self) -> bool:
        return bool(self._codes)

    def add(self, block: Block, position: int, missing: Collection[str]) -> None:
        """Add the rows of a block, in which the column at this position is text."""
        codes, texts = block.encode(position, missing)
        self._profile.add_texts(codes, texts, block.lines, block.decimal)
        counts = self._profile.counts or {}
        if len(self._ranks) < len(counts):
            self._ranks = {text: rank for rank, text in enumerate(counts)}
        ranks = np.array([*(self._ranks[text] for text in texts), -1], dtype=np.int32)
        self._codes.append(ranks[codes])

    def warnings(self) -> tuple[str, ...]:
        """Return sentences about odd content."""
        return say_doubt(self._profile)

    def column(self) -> TargetColumn:
        """Return all rows; there is at least one."""
        values, readings = tuple(self._ranks), self._profile.readings
        codes = np.concatenate(self._codes)
        numbers = [parse_number(text, readings[0]) for text in values] if readings else []
        if not values or not readings or None in numbers:
            return TargetColumn(codes, values)
        return TargetColumn(codes, values, np.array([*numbers, np.nan], dtype=np.float64)[codes])
