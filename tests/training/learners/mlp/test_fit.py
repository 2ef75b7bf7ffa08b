from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from torch import Tensor, nn
from torch.nn import functional

from app.runtime import load as runtime
from modelstore import EpochMetrics, ModelRepository, Notice
from tests.training.samples import (
    clouds,
    collect,
    ignore,
    learnt,
    recipe,
    run,
    settings,
    shuffled_labels,
    slope,
    write_csv,
)
from training.artifact.reproduce import reproduce
from training.config.learner_settings import TrainingSettings
from training.data.columns import Column
from training.data.dataset import Dataset
from training.data.splits import hold_out_validation
from training.errors import Diverged
from training.evaluation.metrics import log_loss
from training.learners.mlp.fit import MLPLearner
from training.learners.mlp.network import MLP, Classifier
from training.learners.protocol import Predict, Probe, predictor
from training.preprocessing.scaler import fit_scaler


def learn(
    dataset: Dataset, validation: Dataset | None = None, probe: Probe | None = None, **changes: Any
) -> tuple[list[EpochMetrics], Classifier]:
    events, fitted = collect(lambda report: MLPLearner(settings(**changes)).fit(dataset, validation, report, probe))
    assert fitted.history == tuple(event for event in events if isinstance(event, EpochMetrics))
    assert isinstance(fitted.module, Classifier)
    return list(fitted.history), fitted.module


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
    asked: list[Predict] = []

    def accuracy(predict: Predict) -> float:
        asked.append(predict)
        return 0.5

    history, probed = learn(clouds(), probe=Probe(2, "test_accuracy", accuracy), epochs=3, dropout=0.5)

    assert len(asked) == 1
    assert [metrics.test_accuracy for metrics in history] == [None, 0.5, None]
    assert digest(probed) == digest(learn(clouds(), epochs=3, dropout=0.5)[1])


def test_the_probe_sees_the_classifier_of_its_epoch() -> None:
    seen: list[float] = []

    def accuracy(predict: Predict) -> float:
        seen.append(log_loss(predict(clouds().x), clouds().y))
        return 0.5

    history, classifier = learn(clouds(), probe=Probe(1, "test_accuracy", accuracy), epochs=5)

    assert seen[:-1] == pytest.approx([metrics.train_loss for metrics in history[1:]], rel=1e-4)
    assert seen[-1] == log_loss(predictor(classifier)(clouds().x), clouds().y)


def test_events_are_reported_outside_of_inference_mode() -> None:
    modes = []

    MLPLearner(settings(epochs=2)).fit(clouds(), None, lambda event: modes.append(torch.is_inference_mode_enabled()))

    assert modes == [False, False]


def test_an_exception_of_the_report_ends_a_training_at_once_and_leaves_no_trace() -> None:
    before = torch.random.get_rng_state()
    events = []

    def stop(event: EpochMetrics | Notice) -> None:
        events.append(event)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MLPLearner(settings(epochs=1000, dropout=0.5)).fit(clouds(), None, stop)

    assert len(events) == 1
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.is_inference_mode_enabled()


def torchs_own_loop(net: MLP, x: Tensor, y: Tensor, chosen: TrainingSettings) -> list[float]:
    """Train as a tutorial does, with autograd and torch.optim, and return the loss of each epoch."""
    classes = max(2, net.widths[-1])
    weights = len(y) / (classes * torch.bincount(y)) if chosen.class_weights == "balanced" else None
    optimizer = torch.optim.AdamW(net.parameters(), lr=chosen.lr, weight_decay=chosen.weight_decay)
    shuffle = torch.Generator().manual_seed(chosen.seed)
    losses = []
    for _ in range(chosen.epochs):
        total = 0.0
        order = torch.randperm(len(y), generator=shuffle) if chosen.batch_size else torch.arange(len(y))
        for index in torch.split(order, chosen.batch_size or len(y)):
            optimizer.zero_grad()
            loss = torchs_loss(net(x[index]), y[index], weights)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(index)
        losses.append(total / len(y))
    return losses


def torchs_loss(logits: Tensor, y: Tensor, weights: Tensor | None) -> Tensor:
    if logits.shape[1] > 1:
        return functional.cross_entropy(logits, y, weights)
    row_weights = None if weights is None else weights[y] / weights[y].mean()
    return functional.binary_cross_entropy_with_logits(logits[:, 0], y.float(), row_weights)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "changes",
    [{}, {"batch_size": 16}, {"class_weights": "balanced", "batch_size": 16}, {"dropout": 0.3, "batch_size": 16}],
    ids=["full batch", "mini-batches", "balanced", "dropout"],
)
def test_losses_and_weights_are_those_of_torchs_own_loop(classes: int, changes: dict[str, Any]) -> None:
    dataset = shuffled_labels(clouds(100, classes=classes, features=3)).rows(np.arange(77))
    chosen = settings(optimizer="adamw", weight_decay=0.01, epochs=10, lr=0.01, hidden=(8, 5), seed=1, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chosen.seed)
        net = MLP(3, classes, chosen.hidden, chosen.dropout)
        x = fit_scaler(dataset.x)(torch.from_numpy(dataset.x))
        expected = torchs_own_loop(net.train(), x, torch.from_numpy(dataset.y), chosen)

    history, classifier = learn(dataset, **chosen.model_dump())

    assert [metrics.train_loss for metrics in history] == pytest.approx(expected, rel=1e-4)
    for ours, theirs in zip(classifier.net.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)  # ten epochs of rounding


@pytest.mark.parametrize("changes", [{}, {"batch_size": 50}, {"class_weights": "balanced"}], ids=str)
def test_chunks_change_nothing(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation = hold_out_validation(shuffled_labels(clouds(101, classes=3)).rows(np.arange(90)), 0.3, seed=0)
    found = []
    for chunk_rows in (2048, 7):
        monkeypatch.setattr("training.learners.mlp.batches.CHUNK_ROWS", chunk_rows)
        history, _ = learn(train, validation, epochs=3, **changes)
        found.append([(m.train_loss, m.validation_loss, m.gradient_norm) for m in history])

    assert np.array(found[0]) == pytest.approx(np.array(found[1]), rel=1e-5)


def test_the_validation_loss_knows_no_dropout() -> None:
    history, classifier = learn(clouds(), clouds(40, seed=1), hidden=(50,), dropout=0.9, epochs=5)

    loss = log_loss(predictor(classifier)(clouds(40, seed=1).x), clouds(40, seed=1).y)
    assert history[-1].validation_loss == pytest.approx(loss, rel=1e-4)


def test_the_speed_is_that_of_the_epoch() -> None:
    history, _ = learn(clouds(), epochs=10)

    seconds = sum(60 / metrics.rows_per_s for metrics in history)
    assert 0 < seconds < history[-1].elapsed_s


@pytest.mark.parametrize("batch_size", [0, 7])
def test_an_epoch_that_lasts_says_how_far_it_is(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learners.progress.REPORT_S", 0)
    monkeypatch.setattr("training.learners.mlp.batches.CHUNK_ROWS", 20)

    events, _ = collect(
        lambda report: MLPLearner(settings(epochs=1, batch_size=batch_size)).fit(clouds(60), None, report)
    )

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


# Settings that need autograd

EXTRAS: tuple[dict[str, Any], ...] = (
    {"activation": "gelu", "dropout": 0.1, "l1": 0.001},
    {"batch_norm": True, "batch_size": 89},  # the last batch of 90 rows has one
    {"init": "he"},
)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "extra", [EXTRAS[0], *(pytest.param(extra, marks=pytest.mark.slow) for extra in EXTRAS[1:])], ids=str
)
def test_each_setting_learns_with_the_same_bytes_again_and_serves(extra: dict[str, Any], tmp_path: Path) -> None:
    rows = clouds(120, classes=3)
    write_csv(tmp_path / "data", rows)
    chosen = {"epochs": 40, "lr": 0.05, **extra}

    _, result = run(recipe(**chosen), tmp_path)
    found = ModelRepository(tmp_path / "models").find("clouds", result.version or 0)
    served = runtime.load(found, "cpu")

    assert reproduce(found, tmp_path / "data", ignore).differing == 0
    assert (served.infer(rows.x).argmax(axis=1) == rows.y).mean() > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("extra", EXTRAS, ids=str)
@pytest.mark.parametrize("rows", [clouds(60, classes=3), slope(60)], ids=["classes", "values"])
def test_torch_export_takes_the_module_of_each_setting(extra: dict[str, Any], rows: Dataset) -> None:
    module, x = learnt(rows, epochs=2, **extra).module, torch.from_numpy(rows.x)

    with torch.no_grad():
        exported = torch.export.export(module, (x[:7],), dynamic_shapes=({0: torch.export.Dim("rows", min=1)},))
        torch.testing.assert_close(exported.module()(x), module(x), atol=1e-6, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [0, 16])
def test_the_loop_is_torchs_own_with_batch_norm_and_another_activation(batch_size: int) -> None:
    dataset = shuffled_labels(clouds(80, classes=3, features=3))
    kind: dict[str, Any] = {"activation": "tanh", "batch_norm": True}
    chosen = settings(optimizer="adamw", epochs=5, lr=0.01, hidden=(8, 5), seed=1, batch_size=batch_size, **kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(chosen.seed)
        net = MLP(3, 3, chosen.hidden, **kind)
    x = fit_scaler(dataset.x)(torch.from_numpy(dataset.x))
    expected = torchs_own_loop(net.train(), x, torch.from_numpy(dataset.y), chosen)

    history, classifier = learn(dataset, **chosen.model_dump())

    assert [metrics.train_loss for metrics in history] == pytest.approx(expected, rel=1e-4)
    for name, ours in classifier.net.state_dict().items():
        torch.testing.assert_close(ours, net.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_the_best_epoch_comes_back_with_its_statistics() -> None:
    train, validation = hold_out_validation(shuffled_labels(clouds(80)), 0.25, seed=0)
    assert validation is not None
    changes: dict[str, Any] = {"hidden": (64,), "epochs": 100, "patience": 10, "validation_fraction": 0.25}

    history, classifier = learn(train, validation, **changes, batch_norm=True)

    best = min(metrics.validation_loss or math.inf for metrics in history)
    assert log_loss(predictor(classifier)(validation.x), validation.y) == pytest.approx(best, rel=1e-4)
    assert len(history) < 100


def test_the_l1_penalty_makes_weights_of_noise_vanish() -> None:
    dataset = clouds(200, features=2)
    noise = np.random.default_rng(1).standard_normal((200, 6)).astype(np.float32)
    rows = replace(dataset, x=np.hstack([dataset.x, noise]), columns=tuple(Column(f"x{n}") for n in range(8)))
    changes: dict[str, Any] = {"hidden": (), "epochs": 300, "lr": 0.05, "schedule": "cosine"}

    plain, penalised = (
        next(iter(learn(rows, l1=l1, **changes)[1].net.parameters())).detach().abs()[0] for l1 in (0, 0.05)
    )

    assert float(plain[2:].max()) > 0.05
    assert float(penalised[2:].max()) < 0.1 * float(penalised[:2].min())


# Regressions


def test_without_hidden_layers_it_finds_scikit_learns_linear_regression() -> None:
    dataset = slope(200, noise=5.0)
    fitted = learnt(dataset, hidden=(), epochs=500, lr=0.1, schedule="cosine")
    reference = LinearRegression().fit(dataset.x, dataset.y).predict(dataset.x)

    answers = predictor(fitted.module)(dataset.x)

    assert answers.shape == (200, 1)
    assert answers.dtype == np.dtype(np.float32)
    np.testing.assert_allclose(answers[:, 0], reference, atol=0.05)  # of a spread of 22; both stop near the optimum


def test_the_loss_of_a_regression_begins_near_that_of_guessing_and_is_that_of_its_answers() -> None:
    train, validation = hold_out_validation(slope(400), 0.25, seed=0)
    assert validation is not None
    _, fitted = collect(
        lambda report: MLPLearner(settings(epochs=100, patience=50, validation_fraction=0.25)).fit(
            train, validation, report
        )
    )

    assert 0.5 < fitted.history[0].train_loss < 2
    assert fitted.history[-1].train_loss < 0.05
    squares = (predictor(fitted.module)(validation.x)[:, 0] - validation.y) ** 2
    best = min(metrics.validation_loss or math.inf for metrics in fitted.history)
    assert best == pytest.approx(squares.mean() / train.y.var(), rel=1e-3)


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0.0), (1.0, 1e6), (1e6, -1e12), (1e30, 0.0)])
def test_the_unit_of_the_target_changes_nothing_but_the_answers_unit(scale: float, shift: float) -> None:
    plain = slope(100)
    answers = [
        predictor(learnt(rows).module)(rows.x)[:, 0].astype(np.float64)
        for rows in (plain, replace(plain, y=shift + scale * plain.y))
    ]

    resolution = abs(shift) * 2**-22
    np.testing.assert_allclose((answers[1] - shift) / scale, answers[0], atol=0.05 + resolution / scale)


def test_a_target_that_does_not_vary_is_answered() -> None:
    dataset = replace(slope(50), y=np.full(50, 3.0))

    np.testing.assert_allclose(predictor(learnt(dataset).module)(dataset.x), 3.0, atol=0.1)


def test_a_regression_is_the_same_bits_again() -> None:
    first, again, other = (learnt(slope(), seed=seed, batch_size=32, dropout=0.1) for seed in (3, 3, 4))

    assert digest(first.module) == digest(again.module) != digest(other.module)
