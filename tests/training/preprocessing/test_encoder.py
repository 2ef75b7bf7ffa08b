from __future__ import annotations

import io
import warnings
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder
from sklearn.preprocessing import StandardScaler as Reference

from tests.training.samples import clouds, typed
from training.data.dataset import Dataset
from training.learners.protocol import predictor
from training.preprocessing.encoder import Encoder, calendar, fit_encoder
from training.preprocessing.scaler import fit_scaler


def encode(encoder: Encoder, x: np.ndarray) -> np.ndarray:
    """Return what the encoder makes of the cells once it is scripted, saved and loaded."""
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(encoder.eval()), stream)
        return predictor(torch.jit.load(io.BytesIO(stream.getvalue())))(x)  # type: ignore[no-untyped-call]


def parts_of(x: np.ndarray) -> pd.DataFrame:
    """Return the parts of the date in the cells 3 and 4 by pandas."""
    time = pd.Series(pd.to_datetime(x[:, 3].astype(float), unit="D")) + pd.to_timedelta(x[:, 4].astype(float), unit="s")
    start = pd.to_datetime(pd.DataFrame({"year": time.dt.year - (time.dt.month < 3), "month": 3, "day": 1}))
    angle = (time.dt.normalize() - start).dt.days * 2 * np.pi / 365.25
    return pd.DataFrame(
        {
            "days": x[:, 3],
            "year": time.dt.year,
            "month": time.dt.month,
            "weekday": time.dt.day_of_week,
            "sin": np.sin(angle),
            "cos": np.cos(angle),
            "hour": time.dt.hour,
        }
    )


def reference(train: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the encoded rows of `typed` by pandas and scikit-learn."""

    def numbers(rows: np.ndarray) -> np.ndarray:
        return np.column_stack([rows[:, 0], parts_of(rows)]).astype(np.float64)

    fitted, imputer = Reference().fit(numbers(train)), SimpleImputer().fit(numbers(train))
    standardised = fitted.transform(imputer.transform(numbers(x)))
    hot = OneHotEncoder(categories=[[0, 1, 2, 3], [0, 1, 2]], handle_unknown="ignore", sparse_output=False)
    return np.column_stack(
        [
            standardised[:, 0],
            np.nan_to_num(2 * x[:, 2] - 1),
            standardised[:, 1:],
            hot.fit(np.nan_to_num(train[:, [1, 5]])).transform(x[:, [1, 5]]),
            np.isnan(x[:, [0, 1, 2, 3, 5]]),
        ]
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_type_is_encoded_as_by_pandas_and_scikit_learn(seed: int) -> None:
    train, x = typed(400, seed=seed), typed(100, seed=seed + 10, gaps=0.2).x
    x[:5, 1] = 3  # a text that no training row has

    encoded = encode(fit_encoder(train), x)

    np.testing.assert_allclose(encoded, reference(train.x, x), atol=2e-5)
    assert np.isfinite(encoded).all()


def test_a_column_without_gaps_has_no_indicator_and_its_gaps_count_as_the_mean() -> None:
    train = typed(gaps=0)
    x = train.x[:2].copy()
    x[0], x[1, 0] = np.nan, train.x[:, 0].mean(dtype=np.float64)

    encoded = encode(fit_encoder(train), x)

    assert encoded.shape[1] == 2 + 7 + 4 + 3
    assert not encoded[0].any()
    assert encoded[1, 0] == pytest.approx(0, abs=1e-5)


def test_numbers_without_gaps_keep_the_bits_of_the_scaler() -> None:
    train = clouds(500, features=3)
    encoder = fit_encoder(train)
    x = torch.from_numpy(train.x)

    assert torch.equal(torch.from_numpy(encode(encoder, train.x)), (x - encoder.scaler.mean) / encoder.scaler.scale)
    assert torch.equal(encoder.scaler.mean, fit_scaler(train.x).mean)
    assert list(encoder.state_dict()) == ["scaler.mean", "scaler.scale"]


def test_parts_of_a_date_that_never_vary_are_left_out() -> None:
    """Their weights would be untrained: every training row has midnight, in one year."""
    train = typed(gaps=0)
    train.x[:, 3] = 20_454 + np.arange(len(train)) % 300  # 2026
    train.x[:, 4] = 0
    later = train.x.copy()
    later[:, 4] = 7200

    encoder = fit_encoder(train)

    assert encoder.width == 2 + 5 + 4 + 3
    assert np.array_equal(encode(encoder, later), encode(encoder, train.x))


def test_a_column_without_any_value_in_the_training_rows_says_only_whether_there_is_one() -> None:
    train = typed()
    train.x[:, 0] = train.x[:, 3] = train.x[:, 4] = np.nan
    encoder = fit_encoder(train)

    assert encoder.width == 2 + 4 + 3 + 5
    assert np.isfinite(encode(encoder, typed(gaps=0).x)).all()


@pytest.mark.slow  # 3.6 million days
def test_the_calendar_is_pythons_for_every_day_of_the_years_1_to_9999() -> None:
    first, last = (date(1, 1, 1) - date(1970, 1, 1)).days, (date(9999, 12, 31) - date(1970, 1, 1)).days
    days = np.arange(first, last + 1)
    stamps = days.astype("datetime64[D]")
    years, months = stamps.astype("datetime64[Y]"), stamps.astype("datetime64[M]")

    parts = calendar(torch.from_numpy(days).float()[:, None], torch.zeros(len(days), 1)).numpy()

    assert np.array_equal(parts[:, 0], days)
    assert np.array_equal(parts[:, 1], years.astype(int) + 1970)
    assert np.array_equal(parts[:, 2], months.astype(int) % 12 + 1)
    assert np.array_equal(parts[:, 3], (days + 3) % 7)
    assert np.array_equal(np.unique(np.arctan2(parts[:, 4], parts[:, 5]).round(4)).shape, (366,))


def test_rows_are_encoded_alike_alone_and_together() -> None:
    rows: Dataset = replace(typed(50))
    encoder = fit_encoder(rows)

    together = encode(encoder, rows.x)

    assert np.array_equal(np.concatenate([encode(encoder, row[None]) for row in rows.x[:10]]), together[:10])
