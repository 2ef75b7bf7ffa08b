"""Keep the marks of the rows that a version was trained on, for later comparisons.

It must not know networks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from modelstore import BrokenVersion, ModelVersion
from training.data.dataset import Dataset
from training.data.repeats import Marks

FILE = "training_rows.bin"
MOST_ROWS = 1_000_000  # of larger tables nothing is kept: 8 bytes a row

_MARKS = np.dtype("<u8")


def write_rows(train: Dataset) -> bytes:
    """Return the content of `training_rows.bin`: the marks of the training rows, ascending, as little-endian uint64."""
    return np.unique(train.marks).astype(_MARKS).tobytes() if len(train) <= MOST_ROWS else b""


def find_unseen(found: ModelVersion, test: Dataset) -> npt.NDArray[np.int64] | None:
    """Return the positions of the test rows that a version was not trained on; None if it did not keep its rows."""
    try:
        content = found.attachment(FILE, _MARKS.itemsize * MOST_ROWS)
    except BrokenVersion:
        return None
    if not content or len(content) % _MARKS.itemsize:
        return None
    seen: Marks = np.frombuffer(content, dtype=_MARKS).astype(np.uint64)
    return np.flatnonzero(~np.isin(test.marks, seen))
