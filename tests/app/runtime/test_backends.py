"""The choice between engines, with engines whose speed and answers are known."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest

from app.runtime.backends import BUCKETS, quickest
from app.schema import Float32


@dataclass
class PacedEngine:
    """Answers with its own mark, after a time that depends on the rows alone."""

    name: str
    mark: float
    fixed_s: float
    row_s: float

    def infer(self, x: Float32) -> Float32:
        ends = time.perf_counter() + self.fixed_s + self.row_s * len(x)
        while time.perf_counter() < ends:
            pass
        return np.full((len(x), 2), self.mark, dtype=np.float32)


ROW = np.zeros((1, 3), dtype=np.float32)
NEAR = PacedEngine("near", 1.0, fixed_s=0.0, row_s=4e-6)  # as a CPU: no fixed cost
FAR = PacedEngine("far", 2.0, fixed_s=500e-6, row_s=0.0)  # as a GPU: the way there costs most; they cross at 125 rows


def test_few_rows_run_near_and_many_far() -> None:
    engine = quickest([NEAR, FAR], ROW)

    assert [choice.engine.name for choice in engine.choices] == ["near"] * 5 + ["far"] * 2
    assert engine.name == "near / far"


@pytest.mark.parametrize(("rows", "mark"), [(1, 1.0), (64, 1.0), (65, 2.0), (1024, 2.0), (5000, 2.0)])
def test_batch_runs_on_the_engine_of_its_bucket(rows: int, mark: float) -> None:
    answer = quickest([NEAR, FAR], ROW).infer(np.repeat(ROW, rows, axis=0))

    assert answer.shape == (rows, 2)
    assert set(answer.ravel().tolist()) == {mark}


def test_single_engine_is_warmed_up_at_every_bucket_and_not_measured() -> None:
    class Recorder(PacedEngine):
        def infer(self, x: Float32) -> Float32:
            seen.append(len(x))
            return super().infer(x)

    seen: list[int] = []
    engine = quickest([Recorder("only", 3.0, 0.0, 0.0)], ROW)

    assert set(seen) == set(BUCKETS)
    assert [(choice.engine.name, choice.measured_us) for choice in engine.choices] == [("only", None)]
