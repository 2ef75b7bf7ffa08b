"""What a manifest says about its gate."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore.gate import GateReport


@pytest.mark.parametrize(
    "wrong", [{"policy": "sometimes"}, {"candidate_rmse": float("nan")}, {"seen_rows": -1}], ids=str
)
def test_a_report_refuses_unknown_policies_and_figures_that_are_none(wrong: dict[str, object]) -> None:
    report = {"policy": "if_better", "passed": True, "reason": "first version", "candidate_rmse": 0.5, "seen_rows": 0}

    assert GateReport.model_validate(report).model_dump(exclude_none=True) == report
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        GateReport.model_validate({**report, **wrong})
