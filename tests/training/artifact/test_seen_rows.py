"""The rows that a version was trained on are kept, and found again in a longer table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from modelstore import ModelRepository
from tests.modelstore.samples import MODEL, sample_manifest
from tests.training.samples import clouds
from training.artifact.seen_rows import FILE, find_unseen, write_rows
from training.data.dataset import Dataset


def rows(first: int, last: int) -> Dataset:
    return replace(clouds(last - first), marks=np.arange(first, last, dtype=np.uint64) * np.uint64(2**40 + 1))


def test_rows_that_were_trained_on_are_found_again(tmp_path: Path) -> None:
    kept = ModelRepository(tmp_path).publish(sample_manifest(), MODEL, {FILE: write_rows(rows(0, 50))})

    unseen = find_unseen(kept, rows(40, 60))

    assert unseen is not None
    assert unseen.tolist() == list(range(10, 20))


def test_a_version_without_its_rows_is_unknown(tmp_path: Path) -> None:
    store = ModelRepository(tmp_path)

    assert find_unseen(store.publish(sample_manifest(), MODEL), rows(0, 9)) is None
    assert find_unseen(store.publish(sample_manifest(), MODEL, {FILE: b"seven.."}), rows(0, 9)) is None


def test_rows_that_were_marked_by_other_columns_are_unknown(tmp_path: Path) -> None:
    store, before = ModelRepository(tmp_path), replace(rows(0, 9), marked=("x0", "x1"))
    kept = store.publish(sample_manifest(), MODEL, {FILE: write_rows(before)})
    without_columns = store.publish(sample_manifest(), MODEL, {FILE: before.marks.astype("<u8").tobytes()})

    assert find_unseen(kept, before) is not None
    assert find_unseen(kept, replace(before, marked=("x0", "x1", "x2"))) is None
    assert find_unseen(without_columns, before) is None
