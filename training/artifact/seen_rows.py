"""Keep the marks of the rows that a version was trained on, for later comparisons.

It must not know networks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from modelstore import BrokenVersion, ModelVersion
from training.data.dataset import Dataset
from training.data.repeats import Marks, text_bits

FILE = "training_rows.bin"
MOST_ROWS = 1_000_000  # of larger tables nothing is kept: 8 bytes a row

_MARKS = np.dtype("<u8")


def write_rows(train: Dataset) -> bytes:
    """Return the content of `training_rows.bin`, little-endian uint64.

    First comes a hash of the names of the columns that count for marks, then the marks of the training rows, ascending.
    """
    if len(train) > MOST_ROWS:
        return b""
    return np.append(_columns(train), np.unique(train.marks)).astype(_MARKS).tobytes()


def find_unseen(found: ModelVersion, test: Dataset) -> npt.NDArray[np.int64] | None:
    """Return the positions of the test rows that a version was not trained on.

    Returns:
        None if that is unknown: the version did not keep its rows, or marked them by other columns.
    """
    try:
        content = found.attachment(FILE, _MARKS.itemsize * (1 + MOST_ROWS))
    except BrokenVersion:
        return None
    if not content or len(content) % _MARKS.itemsize:
        return None
    seen: Marks = np.frombuffer(content, dtype=_MARKS).astype(np.uint64)
    return np.flatnonzero(~np.isin(test.marks, seen[1:])) if seen[0] == _columns(test) else None


def _columns(rows: Dataset) -> np.uint64:
    return np.uint64(text_bits(["\0".join(rows.marked)])[0])
