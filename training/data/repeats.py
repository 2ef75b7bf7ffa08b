"""Find duplicate rows by the values in their file, before rounding to float32.

Memory: eight bytes per row.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.cells import parse
from training.data.precision import EXACT_IN_FLOAT64

Marks = npt.NDArray[np.uint64]

PRIME = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def mark(marks: Marks, column: npt.NDArray[Any]) -> None:
    """Mix one more column, shape (n,), of float64 or integers, into the 64-bit marks (hashes) of the rows.

    Rows get the same mark if all their values are equal; two different rows among ten million get the same mark in one
    of a hundred thousand files.
    """
    mix(marks, number_bits(column))


def mix(marks: Marks, bits: Marks) -> None:
    """Mix the bits of one more value of each row, shape (n,), into the marks of the rows."""
    marks ^= bits
    marks *= PRIME
    marks ^= marks >> HALF


def number_bits(column: npt.NDArray[Any]) -> Marks:
    """Return 64 bits for each number, float64 or integer, shape (n,); the same for equal numbers, and for all NaN."""
    values = column + 0.0  # turns -0.0 into 0.0
    bits: Marks = values.view(np.uint64)
    if column.dtype.kind in "iu" and (large := np.abs(values) > EXACT_IN_FLOAT64).any():
        bits[large] ^= column[large].astype(np.uint64) * PRIME
    if column.dtype.kind == "f" and (gaps := np.isnan(values)).any():
        bits[gaps] = PRIME
    return bits


def text_bits(texts: Sequence[str], decimal: str = ".") -> Marks:
    """Return 64 bits for each text, shape (n,): of its number if it is one, `2` and `2.0` alike, else of a hash.

    They depend on nothing but the text, so a row of a longer or shuffled file keeps its mark, and a column that is read
    as numbers has the same bits as if it were read as texts.

    Args:
        texts: without outer blanks.
        decimal: decimal separator of numbers.
    """
    return np.fromiter((_bits(text, decimal) for text in texts), dtype=np.uint64, count=len(texts))


def text_mark(text: str) -> int:
    """Return a 64-bit hash of a text that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@lru_cache(maxsize=65_536)  # texts of categories come again in each block
def _bits(text: str, decimal: str) -> int:
    value = parse([text], decimal)
    if np.isnan(value[0]):
        return text_mark(text)
    is_exact = abs(value[0]) > EXACT_IN_FLOAT64 and WHOLE.fullmatch(text) and abs(int(text)) < 1 << 63
    return int(number_bits(np.array([int(text)]) if is_exact else value)[0])


def count_duplicates(train: Marks, test: Marks) -> tuple[int, int]:
    """Return how many rows, by their marks, repeat an earlier one, and how many test rows are also training rows."""
    known, unseen = np.sort(train), np.sort(test)
    shared = known[np.searchsorted(known, unseen).clip(max=len(known) - 1)] == unseen  # (M,)
    repeated = _repeats(known) + _repeats(unseen[~shared]) + int(shared.sum())
    return repeated, int(shared.sum())


def _repeats(ordered: npt.NDArray[np.uint64]) -> int:
    return int((ordered[1:] == ordered[:-1]).sum())
