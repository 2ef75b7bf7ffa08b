"""What a lineage says of rows of feedback."""

from __future__ import annotations

from datetime import UTC, datetime

from modelstore import Feedback, FeedbackRow, FeedbackSummary
from modelstore.feedback import Value

DAY_S = 86_400


def row(version: int, day: int) -> FeedbackRow:
    values: dict[str, Value] = {"age": 20.5, "paid": True, "plan": "basic", "since": None}
    return FeedbackRow(version=version, time_s=day * DAY_S, values=values, label="yes")


def test_rows_are_the_same_after_json() -> None:
    feedback = Feedback(rows=(row(1, 0), row(2, 1)), left_out=3)

    assert Feedback.model_validate_json(feedback.model_dump_json()) == feedback


def test_a_summary_has_the_first_and_the_last_time_and_all_versions() -> None:
    summary = FeedbackSummary.of((row(3, 20_000), row(1, 20_010), row(3, 20_005)), 2)

    assert (summary.rows, summary.versions, summary.left_out) == (3, (1, 3), 2)
    assert (summary.first, summary.last) == (datetime(2024, 10, 4, tzinfo=UTC), datetime(2024, 10, 14, tzinfo=UTC))
    assert summary.describe() == "3 rows, predicted 2024-10-04 to 2024-10-14 by versions 1, 3; 2 more could not be used"
    assert FeedbackSummary.of((row(1, 0),), 0).describe() == "1 row, predicted 1970-01-01 to 1970-01-01 by version 1"
