"""Golden rows: how many a manifest needs, and what they must be."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import GoldenRows, golden_row_limits
from tests.modelstore.samples import sample_manifest


def test_one_wrong_golden_sum_among_many_is_found() -> None:
    good = sample_manifest().golden
    with pytest.raises(ValidationError, match="sum to 1"):
        sample_manifest(golden=GoldenRows(features=good.features, outputs=(*good.outputs[:-1], (0.0, 0.9))))


@pytest.mark.parametrize(
    ("features", "classes", "least", "enough"),
    [(4, 3, 32, 4681), (100, 2, 32, 321), (800, 2, 32, 40), (1022, 2, 32, 32), (2000, 2, 16, 16), (10_000, 100, 3, 3)],
)
def test_f3_golden_rows_are_fewer_where_a_row_has_very_many_values(
    features: int, classes: int, least: int, enough: int
) -> None:
    """F3: 32,768 values prove enough; up to 1,024 of them a row, 32 rows are needed as ever."""
    assert golden_row_limits(features, classes) == (least, enough)
