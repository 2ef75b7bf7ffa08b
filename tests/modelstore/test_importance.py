"""What a manifest says about how much each column matters."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore.importance import Importance

SOIL = {"mean": 0.4, "interval": (0.3, 0.5)}


@pytest.mark.parametrize(
    "wrong",
    [{"columns": {}}, {"repeats": 1}, {"together": [{**SOIL, "columns": ["soil"]}]}],
    ids=["none", "once", "alone"],
)
def test_importance_is_of_columns_shuffled_more_than_once_and_groups_have_two(wrong: dict[str, object]) -> None:
    found = {"figure": "log_loss", "rows": 30, "repeats": 30, "columns": {"soil": SOIL}}

    assert Importance.model_validate(found).columns["soil"].mean == 0.4
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Importance.model_validate({**found, **wrong})
