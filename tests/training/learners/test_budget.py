"""The budget of a training, and the clock that is its last resort."""

from __future__ import annotations

import pytest

from training.learners.budget import PATIENCE, REQUESTED, TOO_SLOW, TimeLimit, default_budget_s


@pytest.mark.parametrize(
    ("rows", "seconds"), [(10, 60), (20_000, 60), (20_001, 180), (100_000, 180), (1_000_000, 180 * 10**0.25)]
)
def test_the_budget_follows_the_number_of_rows(rows: int, seconds: float) -> None:
    assert default_budget_s(rows) == pytest.approx(seconds)


def test_the_clock_ends_a_training_after_three_times_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    time_limit = TimeLimit(10)

    now_s += PATIENCE * 10
    assert time_limit.why_over() == ""
    now_s += 0.1
    assert time_limit.why_over() == TOO_SLOW


def test_a_request_to_finish_ends_a_training_at_once() -> None:
    requested: list[bool] = []
    time_limit = TimeLimit(10, lambda: bool(requested))

    assert time_limit.why_over() == ""
    requested.append(True)
    assert time_limit.why_over() == REQUESTED
