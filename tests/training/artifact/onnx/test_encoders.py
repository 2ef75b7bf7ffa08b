"""Encoders answer as the modules of training.preprocessing."""

from __future__ import annotations

import datetime

import numpy as np

from tests.training.artifact.onnx.running import both
from tests.training.samples import clouds, typed
from training.preprocessing.encoder import Expand, fit_encoder

FIRST, LAST = (datetime.date(year, month, day).toordinal() - 719163 for year, month, day in ((1, 1, 1), (9999, 12, 31)))


def test_rows_of_every_type_with_gaps_and_other_texts_agree() -> None:
    answers, expected = both(fit_encoder(typed(300)), typed(10_000, seed=1, gaps=0.2).x)

    np.testing.assert_allclose(answers, expected, atol=2e-7, rtol=1e-6)


def test_numbers_alone_agree_and_a_missing_one_is_the_mean() -> None:
    rows = clouds(60, features=3)
    x = np.where(np.random.default_rng(0).random(rows.x.shape) < 0.2, np.nan, rows.x)

    answers, expected = both(fit_encoder(rows), x)

    assert (answers[np.isnan(x)] == 0).all()
    np.testing.assert_allclose(answers, expected, rtol=1e-6)


def test_every_part_of_every_kind_of_date_agrees() -> None:
    days = np.linspace(FIRST, LAST, 10_000).astype(np.int64)
    x = np.column_stack([days, np.arange(10_000) * 8 % 86_400])

    answers, expected = both(Expand(days=[0], parts=range(7)), x)

    assert np.array_equal(answers[:, [0, 1, 2, 3, 6]], expected[:, [0, 1, 2, 3, 6]])
    np.testing.assert_allclose(answers[:, 4:6], expected[:, 4:6], atol=1e-6)
    dates = [datetime.date.fromordinal(day + 719163) for day in days.tolist()]
    assert answers[:, 1:4].tolist() == [[date.year, date.month, date.weekday()] for date in dates]
