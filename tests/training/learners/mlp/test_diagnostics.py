from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from modelstore import EpochMetrics
from training.errors import Diverged
from training.learners.mlp.diagnostics import find_problems, loss_of_guessing, require_converging, require_learnt


def epoch(number: int = 1, train: float = 0.5, validation: float | None = None, gradient: float = 1.0) -> EpochMetrics:
    return EpochMetrics(
        epoch=number,
        epochs=20,
        train_loss=train,
        validation_loss=validation,
        learning_rate=0.1,
        gradient_norm=gradient,
        elapsed_s=1.0,
        remaining_s=1.0,
    )


def history(
    train: Sequence[float], validation: Sequence[float | None] | None = None, gradients: Sequence[float] | None = None
) -> list[EpochMetrics]:
    rows = zip(train, validation or [None] * len(train), gradients or [1.0] * len(train), strict=True)
    return [epoch(number, *row) for number, row in enumerate(rows, start=1)]


GUESSING = loss_of_guessing(2)
FALLING = [0.7 * 0.9**n for n in range(20)]


def test_a_training_that_goes_well_gets_no_remark() -> None:
    assert find_problems(history(FALLING, [loss + 0.01 for loss in FALLING]), GUESSING) == ()


def test_a_few_epochs_prove_nothing() -> None:
    assert find_problems(history([0.693] * 5), GUESSING) == ()


def test_a_flat_loss_is_found() -> None:
    (sentence,) = find_problems(history([0.693] * 20), GUESSING)

    assert "stayed flat (0.693 to 0.693 in 20 epochs)" in sentence
    assert "try a larger learning rate" in sentence


def test_a_loss_that_is_flat_because_it_is_small_is_fine() -> None:
    assert find_problems(history([0.01] * 20), GUESSING) == ()


def test_vanished_gradients_are_found() -> None:
    sentences = find_problems(history([0.693] * 20, gradients=[1e-9] * 20), GUESSING)

    assert any("gradients vanished (norm 1e-09)" in sentence for sentence in sentences)


def test_gradients_that_vanish_at_the_end_of_a_good_training_are_fine() -> None:
    assert find_problems(history(FALLING, gradients=[10.0**-n for n in range(20)]), GUESSING) == ()


def test_exploded_gradients_are_found() -> None:
    (sentence,) = find_problems(history(FALLING, gradients=[1.0] * 19 + [1e6]), GUESSING)

    assert "gradients exploded (norm 1e+06" in sentence
    assert "smaller learning rate" in sentence


def test_overfitting_is_found() -> None:
    validation = [0.6 - 0.03 * n for n in range(10)] + [0.33 + 0.05 * n for n in range(10)]

    (sentence,) = find_problems(history(FALLING, validation), GUESSING)

    assert "overfitting: the validation loss rose from 0.33 (epoch 10) to 0.78" in sentence
    assert "try early stopping (patience), more weight_decay" in sentence


def test_early_stopping_that_is_on_is_not_advised() -> None:
    validation = [0.6 - 0.03 * n for n in range(10)] + [0.33 + 0.05 * n for n in range(10)]

    (sentence,) = find_problems(history(FALLING, validation), 2, patience=10)

    assert "early stopping" not in sentence
    assert "the weights of epoch 10 are kept; try more weight_decay or dropout, or a smaller network" in sentence


def test_a_validation_loss_that_wobbles_is_no_overfitting() -> None:
    assert find_problems(history(FALLING, [0.4 + 0.01 * (n % 2) for n in range(20)]), GUESSING) == ()


@pytest.mark.parametrize(
    "metrics",
    [
        epoch(7, math.nan),
        epoch(7, math.inf),
        epoch(7, 1.0, math.nan),
        epoch(7, 1.0, None, math.inf),
        epoch(7, 1001 * GUESSING),
    ],
    ids=["loss nan", "loss inf", "validation nan", "gradient inf", "loss beyond all bounds"],
)
def test_a_lost_training_is_stopped(metrics: EpochMetrics) -> None:
    with pytest.raises(Diverged, match=r"after epoch 7.*smaller than 0\.5$") as caught:
        require_converging(metrics, GUESSING, 0.5)

    assert caught.value.reason == "diverged"


def test_an_ordinary_epoch_goes_on() -> None:
    require_converging(epoch(7, 5.0, 5000.0), GUESSING, 0.5)


@pytest.mark.parametrize("loss", [math.nan, math.inf, 10.1 * math.log(2)])
def test_a_network_far_worse_than_guessing_is_refused(loss: float) -> None:
    with pytest.raises(Diverged, match=r"guessing gives 0\.693"):
        require_learnt(loss, GUESSING, 0.5)


def test_a_network_that_learnt_nothing_is_for_the_gate() -> None:
    require_learnt(GUESSING, GUESSING, 0.5)
