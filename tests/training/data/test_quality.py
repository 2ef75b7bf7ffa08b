from __future__ import annotations

import numpy as np
import pytest

from training.data import quality
from training.data.quality import leaking_columns


@pytest.mark.parametrize(
    ("x", "telling"),
    [
        ([0, 0, 1, 1, 2, 2], True),
        ([2, 2, 0, 1, 5, 4], True),
        ([0, 1, 1, 2, 3, 3], False),
        ([0, 9, 1, 2, 10, 11], False),
    ],
    ids=["equal to the class", "apart", "touching", "within another"],
)
def test_a_column_tells_if_no_class_reaches_into_another(
    x: list[float], telling: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "CHUNK_ROWS", 4)
    noise = [5.0, 1, 4, 2, 3, 5]
    rows = np.array([noise, x], dtype=np.float32).T.copy()

    assert leaking_columns(rows, np.array([0, 0, 1, 1, 2, 2]), 3) == ((1,) if telling else ())
