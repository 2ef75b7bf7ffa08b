from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.quality.findings import Cell
from benchmarks.quality.measure import load, measure_cell
from benchmarks.quality.systems import FITS, Work, missing


@pytest.mark.parametrize("system", ["sklearn-linear", "boosting"])
def test_a_system_of_scikit_learn_learns_a_table(system: str, tmp_path: Path) -> None:
    found = measure_cell(Cell(file="iris", system=system, seed=0), tmp_path)

    assert found.accuracy is not None
    assert found.accuracy > 0.85


def test_the_area_under_the_curve_is_that_of_scikit_learn(tmp_path: Path) -> None:
    cell = Cell(file="breast_cancer", system="sklearn-linear", seed=0)
    found, (splits, settings) = measure_cell(cell, tmp_path), load(cell, tmp_path)

    answers = FITS[cell.system](Work(splits, settings))(splits.test.x)

    assert found.auc == pytest.approx(roc_auc_score(splits.test.y, answers[:, 1]))
    assert found.auc_error is not None
    assert 0 < found.auc_error < 0.05
    assert datetime.date.fromisoformat(found.measured)


def test_each_seed_is_another_split_and_each_system_gets_the_same(tmp_path: Path) -> None:
    cells = [("mlp", 0), ("boosting", 0), ("mlp", 1)]
    first, same, other = (load(Cell(file="wine", system=s, seed=seed), tmp_path)[0].test.lines for s, seed in cells)

    assert first.tolist() == same.tolist()
    assert set(first.tolist()) != set(other.tolist())


def test_what_is_not_installed_is_skipped_with_a_reason() -> None:
    assert missing("boosting", None) == ""
    assert "--autogluon" in missing("autogluon", None)
    assert missing("autogluon", "/opt/python") == ""
