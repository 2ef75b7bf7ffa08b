"""What a look at a data file found, as records."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore import ColumnSummary, DatasetFault, DatasetSummary, Inspection

SUMMARY = DatasetSummary(
    rows=3,
    size_bytes=40,
    sha256="0" * 64,
    columns=(
        ColumnSummary(name="height", type="numeric", distinct=3, minimum=1.5, maximum=2.0),
        ColumnSummary(name="species", type="categorical", distinct=2, classes={"a": 2, "b": 1}),
    ),
)
FAULT = DatasetFault(line=3, column="height", problem="expected a number, got 'tall'")


@pytest.mark.parametrize("found", [Inspection(summary=SUMMARY), Inspection(faults=(FAULT,))])
def test_inspection_survives_the_way_through_json(found: Inspection) -> None:
    assert Inspection.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("fields", [{}, {"summary": SUMMARY, "faults": (FAULT,)}])
def test_inspection_is_a_summary_or_faults(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        Inspection.model_validate(fields)
