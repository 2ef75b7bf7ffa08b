"""Rows that are equal as they stand in their file, whatever float32 makes of them; it must not know files or networks.

Memory: eight bytes a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.precision import EXACT_IN_FLOAT64

Marks = npt.NDArray[np.uint64]

PRIME = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)


def mark(marks: Marks, column: npt.NDArray[Any]) -> None:
    """Mix one more column, shape (n,), of float64 or integers, into the marks of rows that stand in the file.

    Two rows get the same 64 bits if all their values are equal; two different rows of ten million get them once in a
    hundred thousand files.
    """
    values = column + 0.0  # -0.0 is 0.0
    bits = values.view(np.uint64)
    if column.dtype.kind in "iu" and (large := np.abs(values) > EXACT_IN_FLOAT64).any():
        bits[large] ^= column[large].astype(np.uint64) * PRIME
    marks ^= bits
    marks *= PRIME
    marks ^= marks >> HALF


def count_duplicates(train: Marks, test: Marks) -> tuple[int, int]:
    """Count rows that are equal to another one, features and class, as they stand in the file.

    Args:
        train: marks of the rows of one split, (N,).
        test: of the other, (M,).

    Returns:
        How many of all rows repeat one that was counted already, and how many test rows are training rows too.
    """
    known, unseen = np.sort(train), np.sort(test)
    shared = known[np.searchsorted(known, unseen).clip(max=len(known) - 1)] == unseen  # (M,)
    repeated = _repeats(known) + _repeats(unseen[~shared]) + int(shared.sum())
    return repeated, int(shared.sum())


def _repeats(ordered: npt.NDArray[np.uint64]) -> int:
    return int((ordered[1:] == ordered[:-1]).sum())
