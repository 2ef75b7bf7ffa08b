from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler as Reference

from tests.training.samples import DATA
from training.config.recipe import BUILT_IN, load_recipe
from training.data.splits import load_splits
from training.preprocessing.scaler import CHUNK_ROWS, compute_moments, find_constant_columns, fit_scaler

# both are float64 statistics, ours then rounded once to float32: half a unit in its last place
FLOAT32_ROUNDING = 2**-24


@pytest.mark.parametrize("name", ["cancer", "iris", "blobs"])
def test_mean_and_scale_are_scikit_learns(name: str) -> None:
    x = load_splits(load_recipe(name, BUILT_IN).data, DATA).train.x
    reference = Reference().fit(x.astype(np.float64))

    scaler = fit_scaler(x)

    np.testing.assert_allclose(scaler.mean.numpy(), reference.mean_, rtol=FLOAT32_ROUNDING)
    np.testing.assert_allclose(scaler.scale.numpy(), reference.scale_, rtol=FLOAT32_ROUNDING)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, 1e30, -1e-30], ids=str)
def test_a_constant_column_gets_scale_one_as_in_scikit_learn(value: float) -> None:
    x = np.column_stack([np.full(1000, value), np.arange(1000.0)])

    assert find_constant_columns(x).tolist() == [True, False]
    assert fit_scaler(x).scale[0] == Reference().fit(x).scale_[0] == 1.0


def test_a_column_constant_but_for_rounding_is_constant() -> None:
    x = np.where(np.arange(1000) % 2, 0.3, 0.1 + 0.2)[:, None]

    assert find_constant_columns(x).tolist() == [True]
    assert Reference().fit(x).scale_[0] == 1.0


def test_a_spread_that_float32_rounds_to_zero_never_divides_by_it() -> None:
    scaler = fit_scaler(np.array([[0.0], [1e-60]]))

    assert torch.isfinite(scaler(torch.zeros((1, 1)))).all()


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.0), (1e6, 1.0), (-3e7, 5.0), (1e30, 1e28), (1e-30, 1e-32)])
def test_one_pass_in_chunks_gives_scikit_learns_figures(mean: float, spread: float) -> None:
    x = np.random.default_rng(0).normal(mean, spread, (3 * CHUNK_ROWS + 7, 2)).astype(np.float32)
    reference = Reference()
    for chunk in np.array_split(x.astype(np.float64), 5):
        reference.partial_fit(chunk)

    scaler = fit_scaler(x)

    np.testing.assert_allclose(scaler.mean.numpy(), reference.mean_, rtol=2 * FLOAT32_ROUNDING, atol=1e-9 * spread)
    np.testing.assert_allclose(scaler.scale.numpy(), reference.scale_, rtol=2 * FLOAT32_ROUNDING)


def test_chunks_of_very_different_levels_are_merged_exactly() -> None:
    x = np.concatenate([np.full((CHUNK_ROWS, 1), 1e6), np.full((CHUNK_ROWS, 1), -1e6), np.full((5, 1), 7.0)])

    mean, variance = compute_moments(x.astype(np.float32))

    assert mean[0] == pytest.approx(x.mean(), rel=1e-12)
    assert variance[0] == pytest.approx(x.var(), rel=1e-12)


def test_a_large_offset_does_not_spoil_the_spread() -> None:
    x = 1e9 + np.arange(10.0)[:, None]

    assert fit_scaler(x).scale[0] == pytest.approx(np.arange(10.0).std(), rel=1e-6)


def test_standardised_rows_have_mean_zero_and_spread_one() -> None:
    x = np.random.default_rng(0).normal(50, 9, (1000, 3))

    z = fit_scaler(x)(torch.from_numpy(x).float()).double()

    assert z.mean(dim=0).abs().max() < 1e-5  # float32 rows, summed 1000 times
    assert (z.std(dim=0, correction=0) - 1).abs().max() < 1e-5


def test_moments_are_those_of_the_present_values() -> None:
    x = np.random.default_rng(0).normal(1000, 3, (2 * CHUNK_ROWS + 7, 4))
    x[np.random.default_rng(1).random(x.shape) < 0.3] = np.nan
    x[:CHUNK_ROWS, 2] = np.nan  # a whole chunk
    x[:, 3] = np.nan

    mean, variance = compute_moments(x)

    np.testing.assert_allclose(mean[:3], np.nanmean(x[:, :3], axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance[:3], np.nanvar(x[:, :3], axis=0), rtol=1e-9)
    assert (mean[3], variance[3]) == (0, 0)


def test_a_missing_value_counts_as_the_mean_and_an_overflow_stays() -> None:
    x = np.array([[1.0], [3.0], [np.nan], [3e38]], dtype=np.float32)
    scaler = fit_scaler(x[:2] * 0.1)

    assert scaler(torch.from_numpy(x)).flatten()[2:].tolist() == [0, np.inf]
