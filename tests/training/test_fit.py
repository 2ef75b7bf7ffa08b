from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from modelstore import EpochMetrics, Notice
from tests.training.samples import clouds, finish, settings, shuffled_labels
from training.datasets import Dataset, hold_out_validation
from training.errors import Diverged
from training.evaluate import log_loss
from training.fit import Probe, fit_classifier
from training.learners.protocol import Predict, predictor
from training.nets import Classifier


def learn(
    dataset: Dataset, validation: Dataset | None = None, probe: Probe | None = None, **changes: Any
) -> tuple[list[EpochMetrics], Classifier]:
    events, classifier = finish(fit_classifier(dataset, validation, settings(**changes), probe))
    return [event for event in events if isinstance(event, EpochMetrics)], classifier


def digest(module: nn.Module) -> str:
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in module.state_dict().values())).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [{}, {"batch_size": 7}, {"dropout": 0.5}, {"batch_size": 7, "dropout": 0.5, "optimizer": "adamw"}],
    ids=["full batch", "mini-batches", "dropout", "all"],
)
def test_the_same_seed_gives_the_same_bytes_of_weights(changes: dict[str, Any]) -> None:
    first, again, other = (learn(clouds(), seed=seed, **changes)[1] for seed in (3, 3, 4))

    assert digest(first) == digest(again) != digest(other)


def test_training_leaves_the_processs_own_random_numbers_alone() -> None:
    before = torch.random.get_rng_state()

    learn(clouds(), dropout=0.5)

    assert torch.equal(torch.random.get_rng_state(), before)


def test_without_hidden_layers_it_finds_scikit_learns_logistic_regression() -> None:
    dataset = shuffled_labels(clouds(200, spread=2.0))
    _, classifier = learn(dataset, hidden=(), epochs=500, lr=0.1, schedule="cosine")
    reference = LogisticRegression(C=1e9).fit(dataset.x, dataset.y).predict_proba(dataset.x)

    np.testing.assert_allclose(predictor(classifier)(dataset.x), reference, atol=1e-3)  # both stop near the optimum


def test_the_scaler_sees_only_the_rows_that_the_network_trains_on() -> None:
    train, validation = hold_out_validation(clouds(100), 0.2, seed=0)
    assert validation is not None
    shifted = replace(validation, x=validation.x + 1e6)

    _, classifier = learn(train, shifted)

    np.testing.assert_allclose(classifier.scaler.mean.numpy(), train.x.mean(axis=0), rtol=1e-6)


def test_early_stopping_puts_the_best_epoch_back() -> None:
    train, validation = hold_out_validation(shuffled_labels(clouds(80)), 0.25, seed=0)
    assert validation is not None
    changes: dict[str, Any] = {"hidden": (64,), "epochs": 300, "patience": 10, "validation_fraction": 0.25}

    history, classifier = learn(train, validation, **changes)

    losses = [metrics.validation_loss or math.inf for metrics in history]
    assert len(history) == losses.index(min(losses)) + 1 + 10 < 300
    restored = log_loss(predictor(classifier)(validation.x), validation.y)
    assert restored == pytest.approx(min(losses), rel=1e-4)


def test_patience_zero_keeps_the_last_epoch() -> None:
    train, validation = hold_out_validation(shuffled_labels(clouds(80)), 0.25, seed=0)
    assert validation is not None

    history, classifier = learn(train, validation, hidden=(64,), epochs=100, validation_fraction=0.25)

    last = log_loss(predictor(classifier)(validation.x), validation.y)
    assert last == pytest.approx(history[-1].validation_loss, rel=1e-4)
    assert len(history) == 100


def test_the_cosine_schedule_falls_to_zero() -> None:
    rates = [metrics.learning_rate for metrics in learn(clouds(), schedule="cosine", epochs=10, lr=0.2)[0]]

    expected = [0.1 * (1 + math.cos(math.pi * epoch / 10)) for epoch in range(10)]
    assert rates == pytest.approx(expected)


def test_the_plateau_schedule_falls_tenfold_when_the_loss_does_not() -> None:
    train, validation = hold_out_validation(shuffled_labels(clouds(80)), 0.25, seed=0)

    history, _ = learn(train, validation, schedule="plateau", hidden=(64,), epochs=60, lr=1.0, validation_fraction=0.25)

    rates = {metrics.learning_rate for metrics in history}
    assert rates > {1.0}
    assert min(rates) == pytest.approx(10.0 ** -(len(rates) - 1))


@pytest.mark.parametrize("classes", [2, 3])
def test_balanced_class_weights_make_up_for_rare_classes(classes: int) -> None:
    dataset = clouds(300, classes=classes, features=1, spread=4.0)
    rare = dataset.rows(np.flatnonzero((dataset.y != 0) | (np.arange(300) < 30)))
    chosen = {
        weights: predictor(learn(rare, class_weights=weights, epochs=200)[1])(rare.x).argmax(axis=1) == 0
        for weights in ("none", "balanced")
    }

    recalls = {weights: found[rare.y == 0].mean() for weights, found in chosen.items()}
    assert recalls["balanced"] > recalls["none"] + 0.2


def test_balanced_weights_of_equal_classes_change_nothing() -> None:
    (_, plain), (_, balanced) = (learn(clouds(), class_weights=weights) for weights in ("none", "balanced"))

    x = clouds().x
    np.testing.assert_allclose(predictor(plain)(x), predictor(balanced)(x), atol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_weight_decay_shrinks_the_weights(optimizer: str) -> None:
    sizes = [
        sum(
            float(p.detach().square().sum())
            for p in learn(clouds(), optimizer=optimizer, weight_decay=decay, epochs=100)[1].parameters()
        )
        for decay in (0.0, 0.5)
    ]

    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_learning_rate_of_a_million_diverges(optimizer: str) -> None:
    with pytest.raises(Diverged, match="try a learning rate ten times smaller than 1e\\+06"):
        learn(shuffled_labels(clouds(classes=3)), optimizer=optimizer, lr=1e6)


def test_the_probe_reports_and_changes_nothing() -> None:
    asked: list[int] = []

    def probe(predict: object, epoch: int) -> float | None:
        asked.append(epoch)
        return 0.5 if epoch == 2 else None

    history, probed = finish(fit_classifier(clouds(), None, settings(epochs=3, dropout=0.5), probe))

    assert asked == [1, 2, 3]
    assert [event.test_accuracy for event in history if isinstance(event, EpochMetrics)] == [None, 0.5, None]
    assert digest(probed) == digest(learn(clouds(), epochs=3, dropout=0.5)[1])


def test_the_probe_sees_the_classifier_of_its_epoch() -> None:
    seen: list[float] = []

    def probe(predict: Predict, epoch: int) -> float | None:
        seen.append(log_loss(predict(clouds().x), clouds().y))
        return None

    history, classifier = learn(clouds(), probe=probe, epochs=5)

    assert seen[:-1] == pytest.approx([metrics.train_loss for metrics in history[1:]], rel=1e-4)
    assert seen[-1] == log_loss(predictor(classifier)(clouds().x), clouds().y)


def test_the_speed_is_that_of_the_epoch() -> None:
    history, _ = learn(clouds(), epochs=10)

    seconds = sum(60 / metrics.rows_per_s for metrics in history)
    assert 0 < seconds < history[-1].elapsed_s


@pytest.mark.parametrize("batch_size", [0, 7])
def test_an_epoch_that_lasts_says_how_far_it_is(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learning.descent.REPORT_S", 0)
    monkeypatch.setattr("training.learning.descent.CHUNK_ROWS", 20)

    events, _ = finish(fit_classifier(clouds(60), None, settings(epochs=1, batch_size=batch_size)))

    *notices, last = events
    assert isinstance(last, EpochMetrics)
    assert len(notices) == (8 if batch_size else 2)
    first = notices[0]
    assert isinstance(first, Notice)
    assert first.message.startswith(f"epoch 1/1: {batch_size or 20} of 60 rows, ")
    assert first.message.endswith(" rows/s")


def test_seconds_and_time_left_fit_together() -> None:
    history, _ = learn(clouds(), epochs=10)

    for metrics in history:
        assert metrics.remaining_s == pytest.approx(metrics.elapsed_s / metrics.epoch * (10 - metrics.epoch))
    assert history[-1].remaining_s == 0
