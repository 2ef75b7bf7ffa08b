"""Every row is answered by a model of the same settings that has not seen it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelstore import EpochMetrics, Notice
from tests.training.samples import clouds, collect, ignore, settings, shuffled_labels
from training.data.holdout import Grouped, Latest, Shuffled
from training.learners.calibrated import fit_calibrated
from training.learners.out_of_fold import answer_folds
from training.learners.protocol import predictor


def test_answers_know_nothing_of_their_row() -> None:
    rows = shuffled_labels(clouds(120))
    learns = settings(hidden=(64,), epochs=300)

    found = answer_folds(learns, rows, Shuffled(), ignore)

    assert found is not None
    assert np.array_equal(found.y, rows.y)
    assert found.answers.sum(axis=1) == pytest.approx(np.ones(120), abs=1e-5)
    seen = predictor(fit_calibrated(learns, rows, None, ignore).module)(rows.x).argmax(axis=1)
    assert (seen == rows.y).mean() > 0.65  # learnt by heart
    assert (found.answers.argmax(axis=1) == rows.y).mean() < 0.6


def test_the_published_model_and_the_events_of_its_training_stay_as_they_are() -> None:
    rows, learns = clouds(60), settings(class_weights="balanced")
    before = fit_calibrated(learns, rows, None, ignore).module.state_dict()

    events, _ = collect(lambda report: answer_folds(learns, rows, Shuffled(), report))
    after = fit_calibrated(learns, rows, None, ignore).module.state_dict()

    assert not [event for event in events if isinstance(event, EpochMetrics | Notice)]
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_in_time_the_latest_rows_are_answered_by_a_model_of_the_others() -> None:
    rows = clouds(60)
    rows.x[:, 1] = np.random.default_rng(0).permutation(60)
    latest = np.flatnonzero(rows.x[:, 1] >= 51)

    found = answer_folds(settings(), rows, Latest("x1"), ignore)

    rest = rows.rows(np.setdiff1d(np.arange(60), latest))
    assert found is not None
    assert np.array_equal(found.y, rows.y[latest])
    expected = predictor(fit_calibrated(settings(), rest, None, ignore).module)(rows.x[latest])
    assert np.array_equal(found.answers, expected)


def test_a_training_that_is_to_end_answers_none_and_neither_does_a_single_group() -> None:
    rows = clouds(60)
    assert answer_folds(settings(), rows, Shuffled(), ignore, lambda: True) is None
    alike = replace(rows, x=np.column_stack([rows.x[:, 0], np.ones(60)]).astype(np.float32))
    assert answer_folds(settings(), Grouped("x1").mark(alike), Grouped("x1"), ignore) is None
