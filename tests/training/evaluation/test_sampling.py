from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.sampling import EvenRows


@pytest.mark.parametrize("chunk", [1, 3, 7, 1000])
def test_kept_rows_are_evenly_spread_however_they_come(chunk: int) -> None:
    spread = EvenRows(10)
    for start in range(0, 75, chunk):
        spread.add(np.arange(75)[start : start + chunk])

    assert spread.rows.tolist() == list(range(0, 75, 8))


def test_few_rows_are_all_kept() -> None:
    spread = EvenRows(10)
    spread.add(np.arange(10))

    assert spread.rows.tolist() == list(range(10))
