from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from modelstore import MIN_GOLDEN_ROWS, Manifest, Signature
from modelstore.golden import MAX_GOLDEN_VALUES
from tests.training.samples import clouds, describe, learnt, recipe, typed
from training.artifact.manifest import golden_rows
from training.data.dataset import Dataset
from training.learners.protocol import Predict, predictor


@pytest.fixture
def train() -> Dataset:
    return clouds(60, features=5)


@pytest.fixture
def test() -> Dataset:
    return clouds(20, features=5, seed=1)


@pytest.fixture
def predict(train: Dataset) -> Predict:
    return predictor(learnt(train).module)


def test_golden_rows_hold_the_training_extremes_of_every_feature(
    train: Dataset, test: Dataset, predict: Predict
) -> None:
    golden = np.array(golden_rows(predict, train, test).features)

    for column in range(5):
        for extreme in (train.x[:, column].min(), train.x[:, column].max()):
            assert np.float32(extreme) in golden[:, column].astype(np.float32)


def test_golden_rows_hold_a_missing_cell_another_text_and_the_ends_of_every_column() -> None:
    train, test = typed(200), typed(50, seed=1)
    predict = predictor(learnt(train).module)

    golden = golden_rows(predict, train, test)
    cells = np.array(golden.features, dtype=np.float64)

    assert np.isnan(cells).any(axis=0).all()
    assert {0, 1, 2, 3} <= set(cells[:, 1])
    for cell in range(train.x.shape[1]):
        assert {np.nanmin(train.x[:, cell]), np.nanmax(train.x[:, cell])} <= set(cells[:, cell])
    assert np.isfinite(golden.outputs).all()


def test_numbers_without_gaps_have_one_golden_row_of_missing_cells(train: Dataset, predict: Predict) -> None:
    rows = golden_rows(predict, train, train).features

    assert [row for row in rows if None in row] == [(None,) * 5]


def test_the_tolerance_of_a_quantity_follows_its_spread(train: Dataset) -> None:
    quantity = replace(train, y=1000 * np.arange(60.0), classes=())

    golden = golden_rows(lambda x: np.full((len(x), 1), 3e4, dtype=np.float32), quantity, quantity)

    assert golden.tolerance == pytest.approx(1e-5 * quantity.y.std() + 0.03)


def test_golden_rows_hold_test_rows(train: Dataset, test: Dataset, predict: Predict) -> None:
    golden = {tuple(row) for row in golden_rows(predict, train, test).features}

    assert len(golden & {tuple(row) for row in test.x.astype(np.float32).astype(np.float64).tolist()}) == 16


def test_golden_rows_are_exact_in_float32_and_answered_by_the_eager_model(
    train: Dataset, test: Dataset, predict: Predict
) -> None:
    golden = golden_rows(predict, train, test)
    x = np.array(golden.features, dtype=np.float64)

    assert np.array_equal(x.astype(np.float32).astype(np.float64), x, equal_nan=True)
    assert np.array_equal(np.array(golden.outputs, dtype=np.float32), predict(x))


def test_a_tiny_data_set_still_gives_enough_golden_rows(predict: Predict) -> None:
    tiny = clouds(6, features=5)

    assert len(golden_rows(predict, tiny, tiny).features) == MIN_GOLDEN_ROWS


def test_f3_golden_rows_of_a_wide_table_are_bounded_and_of_every_kind() -> None:
    """F3: of the 1,600 extremes of 800 columns, some are enough."""
    train, test = clouds(1000, features=800), clouds(100, features=800, seed=1)

    golden = golden_rows(lambda x: np.full((len(x), 2), 0.5), train, test)

    rows = {tuple(row) for row in golden.features}
    assert len(golden.features) * (800 + 2) <= MAX_GOLDEN_VALUES
    assert len(rows & {tuple(row) for row in test.x.astype(np.float64).tolist()}) == 13
    assert len(rows & {tuple(row) for row in train.x.astype(np.float64).tolist()}) >= 24
    assert sum(None in row for row in golden.features) == 1


def test_the_manifest_is_written_and_read_back(train: Dataset, test: Dataset) -> None:
    manifest, model = describe(learnt(train).module, train, test, job="job-1", parent=4)

    assert Manifest.from_json(manifest.to_json()) == manifest
    assert (manifest.sha256, manifest.size_bytes) == (hashlib.sha256(model).hexdigest(), len(model))
    assert manifest.signature == Signature.for_output("probabilities", 2, cells=5)
    assert (manifest.lineage.parent, manifest.lineage.job, manifest.lineage.seed) == (4, "job-1", 0)
    assert manifest.lineage.recipe == recipe().model_dump(mode="json")
    assert {"torch", "numpy", "scikit-learn", "pandas"} == set(manifest.lineage.libraries)
