from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.quality.findings import Cell
from benchmarks.quality.measure import load, measure_cell
from benchmarks.quality.systems import missing


@pytest.mark.parametrize("system", ["sklearn-linear", "boosting"])
def test_a_system_of_scikit_learn_learns_a_table(system: str, tmp_path: Path) -> None:
    found = measure_cell(Cell(file="iris", system=system, seed=0), tmp_path)

    assert found.accuracy is not None
    assert found.accuracy > 0.85


def test_each_seed_is_another_split_and_each_system_gets_the_same(tmp_path: Path) -> None:
    cells = [("mlp", 0), ("boosting", 0), ("mlp", 1)]
    first, same, other = (load(Cell(file="wine", system=s, seed=seed), tmp_path)[0].test.lines for s, seed in cells)

    assert first.tolist() == same.tolist()
    assert set(first.tolist()) != set(other.tolist())


def test_what_is_not_installed_is_skipped_with_a_reason() -> None:
    assert missing("boosting", None) == ""
    assert "--autogluon" in missing("autogluon", None)
    assert missing("autogluon", "/opt/python") == ""
