"""The training loop of RealMLP, from rows to a version that serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from app.runtime import load as runtime
from modelstore import EpochMetrics, ModelRepository, Notice
from tests.training.samples import clouds, collect, ignore, recipe, run, slope, typed, write_csv
from training.artifact.torchscript import load, to_torchscript
from training.config.learner_settings import TrainingSettings
from training.learners.folds import folds_of
from training.learners.protocol import Probe, predictor
from training.learners.realmlp.fit import RealMLPLearner

SETTINGS = TrainingSettings(learner="realmlp", budget_s=60, seed=3)


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train narrow networks for a few epochs, which are as good on these rows."""
    monkeypatch.setattr("training.learners.realmlp.plan.NARROW", (32, 32, 32))
    monkeypatch.setattr("training.learners.realmlp.plan.EPOCHS", 40)


def learner() -> RealMLPLearner:
    return RealMLPLearner(SETTINGS)


@pytest.mark.slow
def test_what_no_line_separates_is_learnt_and_published_with_gaps_and_categories() -> None:
    rows, unseen = typed(400, gaps=0.05), typed(200, seed=1, gaps=0)

    module = learner().fit(rows, None, ignore).module

    answers = load(to_torchscript(module, rows.x))(unseen.x)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)
    assert (answers.argmax(axis=1) == unseen.y).mean() > 0.9


@pytest.mark.slow
def test_a_regression_answers_in_the_unit_of_the_target() -> None:
    rows = slope(300)

    module = learner().fit(rows, None, ignore).module

    errors = predictor(module)(rows.x)[:, 0] - rows.y
    assert np.sqrt(np.square(errors).mean()) < 0.2 * rows.y.std()


def test_held_out_answers_are_by_networks_that_have_not_seen_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learners.realmlp.plan.EPOCHS", 1)  # so no epoch is chosen
    rows = clouds(400, spread=3.0)
    folds = folds_of(rows, seed=3)
    other = replace(rows, y=rows.y.copy())
    other.y[folds[0]] = 1 - other.y[folds[0]]

    logits = []
    for table in (rows, other):
        held_out = learner().fit_folds(table, folds, ignore).held_out
        assert held_out is not None
        assert np.array_equal(held_out.y, table.y)
        logits.append(np.log(held_out.answers[:, 1] / held_out.answers[:, 0]))

    ratio = logits[0] / logits[1]
    assert np.ptp(ratio[folds[0]]) < 1e-6  # the temperature is another one, the network is not
    assert np.ptp(ratio[folds[1]]) > 0.01


@pytest.mark.slow
def test_validation_rows_choose_the_epoch() -> None:
    rows, validation = typed(200), typed(100, seed=1)

    fitted = learner().fit(rows, validation, ignore)

    lowest = min(metrics.validation_loss or 0 for metrics in fitted.history)
    assert log_loss(validation.y, predictor(fitted.module)(validation.x)) == pytest.approx(lowest, rel=1e-4)
    assert fitted.held_out is None


@pytest.mark.slow
def test_of_many_rows_a_part_chooses_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learners.auto.unseen.SOME_ROWS", 500)

    fitted = learner().fit(clouds(600), None, ignore)

    assert fitted.held_out is not None
    assert len(fitted.held_out.y) == 90
    assert (fitted.held_out.answers.argmax(axis=1) == fitted.held_out.y).mean() > 0.95


def test_every_epoch_is_an_event_with_the_probed_figure() -> None:
    rows = clouds(60)
    probe = Probe(2, "test_accuracy", lambda predict: float((predict(rows.x).argmax(axis=1) == rows.y).mean()))

    events, fitted = collect(lambda report: learner().fit(rows, None, report, probe))

    assert tuple(event for event in events if isinstance(event, EpochMetrics)) == fitted.history
    assert [metrics.test_accuracy is not None for metrics in fitted.history[:4]] == [False, True, False, True]


def test_an_exception_of_the_report_ends_the_training() -> None:
    def stop(event: EpochMetrics | Notice) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learner().fit(clouds(60), None, stop)


def test_a_clock_that_ends_the_training_is_told_as_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learners.budget.PATIENCE", 0)

    events, fitted = collect(lambda report: learner().fit(clouds(60), None, report))

    assert len(fitted.history) == 1
    assert "the same seed may give another model" in str(events[-1])


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    rows = typed(60)

    first, again, other = (
        RealMLPLearner(SETTINGS.model_copy(update={"seed": seed})).fit(rows, None, ignore).module.state_dict()
        for seed in (3, 3, 4)
    )

    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["networks.output.weight"], other["networks.output.weight"])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_version_is_published_and_proved_by_the_service(tmp_path: Path) -> None:
    rows = clouds(120, classes=3, features=3)
    write_csv(tmp_path / "data", rows)
    made = recipe(data={"stratify": True}).model_copy(update={"training": SETTINGS})

    events, result = run(made, tmp_path)

    assert result.version == 1, result.detail
    assert "clouds: training realmlp on 90 rows, 30 test rows held out" in str(events[0])
    served = runtime.load(ModelRepository(tmp_path / "models").find("clouds", 1), "cpu")
    assert (served.infer(rows.x).argmax(axis=1) == rows.y).mean() > 0.95


def test_of_very_many_held_out_rows_some_choose_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learners.auto.unseen.SOME_ROWS", 500)
    monkeypatch.setattr("training.learners.realmlp.fit.MOST_HELD", 40)
    monkeypatch.setattr("training.learners.realmlp.plan.EPOCHS", 3)

    fitted = learner().fit(clouds(600), None, ignore)

    assert fitted.held_out is not None
    assert len(fitted.held_out.y) == 30  # every third of 90
