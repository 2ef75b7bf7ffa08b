"""Slices in a manifest are bounded."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import Slice, Slices

PART = Slice(values="1 to 2", rows=3, figure=0.5, interval=(0.1, 0.9))


def test_slices_of_at_most_21_columns_are_kept() -> None:
    whole = Slices(figure="accuracy", rows=9, columns={f"c{n}": (PART,) * 3 for n in range(21)}, left_out=4)

    assert Slices.model_validate_json(whole.model_dump_json()) == whole
    with pytest.raises(ValidationError, match="at most 21 items"):
        Slices(figure="accuracy", rows=9, columns={f"c{n}": (PART,) for n in range(22)})


def test_a_slice_has_rows() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        Slice(values="missing", rows=0, figure=0.5)
