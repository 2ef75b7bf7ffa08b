"""Scoring is measured by the real command."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.scoring import MODEL, by_processes, write_rows
from modelstore import ModelRepository
from tests.fakes import publish


@pytest.mark.slow
def test_a_run_scores_every_row_and_is_counted_with_its_processes(tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"), MODEL, features=("left", "right"))
    write_rows(tmp_path, 1000)

    figures = by_processes(1)(tmp_path, 1000)

    assert pq.read_metadata(tmp_path / "scored.parquet").num_rows == 1000
    assert figures.rows_per_s > 0
    assert figures.rows_per_cpu_s is not None
    assert 0 < figures.rows_per_cpu_s < 10_000
    assert figures.peak_mb is not None
    assert 20 < figures.peak_mb < 2000
