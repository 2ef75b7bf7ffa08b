from __future__ import annotations

import hashlib

import numpy as np
import pytest

from modelstore import MIN_GOLDEN_ROWS, Baseline, GateReport, Manifest, Signature, Target
from modelstore.manifest import MAX_GOLDEN_VALUES
from tests.training.samples import clouds, learnt, recipe
from training.artifact.manifest import build_manifest, describe_features, golden_rows
from training.artifact.torchscript import to_torchscript
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.evaluation.metrics import evaluate
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


def test_golden_rows_hold_test_rows(train: Dataset, test: Dataset, predict: Predict) -> None:
    golden = {tuple(row) for row in golden_rows(predict, train, test).features}

    assert len(golden & {tuple(row) for row in test.x.astype(np.float32).astype(np.float64).tolist()}) == 16


def test_golden_rows_are_exact_in_float32_and_answered_by_the_eager_model(
    train: Dataset, test: Dataset, predict: Predict
) -> None:
    golden = golden_rows(predict, train, test)
    x = np.array(golden.features)

    assert np.array_equal(x.astype(np.float32).astype(np.float64), x)
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
    assert len(rows & {tuple(row) for row in train.x.astype(np.float64).tolist()}) >= 25


def test_features_say_what_the_training_split_showed(train: Dataset) -> None:
    first, *_ = describe_features(train, {"x0": "cm"})

    column = train.x[:, 0]
    assert (first.name, first.unit) == ("x0", "cm")
    assert (np.float32(first.min), np.float32(first.max)) == (column.min(), column.max())
    exact = column.astype(np.float64)
    assert (first.mean, first.std) == pytest.approx((exact.mean(), exact.std()))
    assert first.quantiles == pytest.approx(np.quantile(column, np.arange(1, 10) / 10))


@pytest.mark.parametrize("value", [0.1, 1e-30, 1e30, -7.7])
def test_deciles_of_a_constant_column_ascend_in_spite_of_rounding(value: float, train: Dataset) -> None:
    train.x[:, 0] = value

    assert set(describe_features(train, {})[0].quantiles) == {value}


def test_the_manifest_is_written_and_read_back(train: Dataset, test: Dataset) -> None:
    module = learnt(train).module
    predict, model = predictor(module), to_torchscript(module, train.x)

    manifest = build_manifest(
        recipe(),
        model,
        Splits(train, test, {"clouds.csv": "0" * 64}, (), Target(name="cloud")),
        golden=golden_rows(predict, train, test),
        metrics={"test": evaluate(predict(test.x), test.y, test.classes, "test")},
        baselines={"majority": Baseline(accuracy=0.5, log_loss=0.7)},
        gate=GateReport(policy="always", passed=True, reason="because", active_version=4),
        job="job-1",
    )

    assert Manifest.from_json(manifest.to_json()) == manifest
    assert (manifest.sha256, manifest.size_bytes) == (hashlib.sha256(model).hexdigest(), len(model))
    assert manifest.signature == Signature.for_output("probabilities", 2, cells=5)
    assert (manifest.lineage.parent, manifest.lineage.job, manifest.lineage.seed) == (4, "job-1", 0)
    assert manifest.lineage.recipe == recipe().model_dump(mode="json")
    assert {"torch", "numpy", "scikit-learn", "pandas"} == set(manifest.lineage.libraries)
