"""Room in a manifest for explanations."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore.trust import Background


def test_each_background_row_has_a_weight() -> None:
    assert Background(rows=((1.0, None),), weights=(1.0,)).rows == ((1.0, None),)
    with pytest.raises(ValidationError, match="one weight for each row"):
        Background(rows=((1.0, None),), weights=(0.5, 0.5))
