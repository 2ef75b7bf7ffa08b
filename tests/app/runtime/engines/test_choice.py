"""The choice between engines, with engines whose speed and answers are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from app.runtime.engines import choice as choosing
from app.runtime.engines.choice import BUCKETS, MEASURED_CALLS, MEASURED_S, WARM_UP_CALLS, quickest
from app.schema import Float32


class Clock:
    """A clock that only engines advance, so a busy machine changes nothing."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    CLOCK.now_s = 0.0  # else what ran before decides how its sums are rounded
    monkeypatch.setattr(choosing, "perf_counter", CLOCK)


@dataclass
class PacedEngine:
    """Answers with its own mark, after a time that depends on the rows alone."""

    name: str
    mark: float
    fixed_s: float
    row_s: float

    def infer(self, x: Float32) -> Float32:
        CLOCK.now_s += self.fixed_s + self.row_s * len(x)
        return np.full((len(x), 2), self.mark, dtype=np.float32)


ROW = np.zeros((1, 3), dtype=np.float32)
NEAR = PacedEngine("near", 1.0, fixed_s=0.0, row_s=4e-6)  # as a CPU: no fixed cost
FAR = PacedEngine("far", 2.0, fixed_s=500e-6, row_s=0.0)  # as a GPU: the way there costs most; they cross at 125 rows


def test_few_rows_run_near_and_many_far() -> None:
    engine = quickest([[NEAR], [FAR]], ROW)

    assert [choice.engine.name for choice in engine.choices] == ["near"] * 5 + ["far"] * 2
    assert engine.name == "near / far"


@pytest.mark.parametrize(("rows", "mark"), [(1, 1.0), (64, 1.0), (65, 2.0), (1024, 2.0), (5000, 2.0)])
def test_batch_runs_on_the_engine_of_its_bucket(rows: int, mark: float) -> None:
    answer = quickest([[NEAR], [FAR]], ROW).infer(np.repeat(ROW, rows, axis=0))

    assert answer.shape == (rows, 2)
    assert set(answer.ravel().tolist()) == {mark}


def test_one_engine_of_a_group_answers_all_sizes() -> None:
    """Else a row would get other last bits alone than among others."""
    slow = PacedEngine("slow", 3.0, fixed_s=0.0, row_s=20e-6)

    engine = quickest([[NEAR, slow], [FAR]], ROW)
    alone = quickest([[slow, FAR]], ROW)

    assert {choice.engine.name for choice in engine.choices} == {"near", "far"}
    assert [choice.engine.name for choice in alone.choices] == ["slow"] * 7  # by a larger factor
    assert all(choice.measured_us for choice in alone.choices)


def test_measuring_a_slow_engine_takes_little_time() -> None:
    calls: list[int] = []

    class Heavy(PacedEngine):
        def infer(self, x: Float32) -> Float32:
            calls.append(len(x))
            return super().infer(x)

    quickest([[Heavy("heavy", 1.0, fixed_s=2 * MEASURED_S, row_s=0.0), NEAR]], ROW)

    assert {rows: calls.count(rows) for rows in BUCKETS} == dict.fromkeys(BUCKETS, WARM_UP_CALLS + 1)


def test_single_engine_is_warmed_up_at_every_bucket_and_measured_at_the_largest() -> None:
    class Recorder(PacedEngine):
        def infer(self, x: Float32) -> Float32:
            seen.append(len(x))
            return super().infer(x)

    seen: list[int] = []
    engine = quickest([[Recorder("only", 3.0, 0.0, row_s=1e-6)]], ROW)

    assert set(seen[:-MEASURED_CALLS]) == set(BUCKETS)
    assert [(choice.engine.name, choice.rows) for choice in engine.choices] == [("only", 1024)]
    assert engine.choices[0].measured_us == pytest.approx(1024)


@pytest.mark.parametrize(
    ("row_us", "rows"), [(0.0, 2**20), (0.5, 2048), (5.0, 128), (11.7, 64), (1000.0, 1), (5000.0, 1)]
)
def test_rows_within_a_time_are_a_power_of_two(row_us: float, rows: int) -> None:
    engine = quickest([[PacedEngine("only", 1.0, fixed_s=0.0, row_s=row_us * 1e-6)]], ROW)

    assert engine.rows_within(1024.0) == rows
