from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from tests.training.samples import settings
from training.learners.mlp.schedules import schedule_for

EPOCHS = 60


def ours(schedule: str, losses: list[float]) -> list[float]:
    chosen, rates = schedule_for(settings(schedule=schedule, lr=0.3, epochs=len(losses))), []
    for loss in losses:
        rates.append(chosen.rate)
        chosen.step(loss)
    return rates


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)


def test_a_constant_rate_stays() -> None:
    assert ours("constant", [1.0] * 5) == [0.3] * 5


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")  # nothing is optimised here
def test_the_cosine_is_torchs() -> None:
    reference = optimizer()
    schedule, expected = CosineAnnealingLR(reference, T_max=EPOCHS), []
    for _ in range(EPOCHS):
        expected.append(reference.param_groups[0]["lr"])
        schedule.step()

    assert ours("cosine", [1.0] * EPOCHS) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_plateau_is_torchs(seed: int) -> None:
    losses = np.random.default_rng(seed).uniform(0.9, 1.0, EPOCHS).tolist()
    reference = optimizer()
    schedule, expected = ReduceLROnPlateau(reference), []
    for loss in losses:
        expected.append(reference.param_groups[0]["lr"])
        schedule.step(loss)

    assert ours("plateau", losses) == pytest.approx(expected)
    assert len(set(expected)) > 1
