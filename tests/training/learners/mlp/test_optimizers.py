from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.training.samples import settings
from training.learners.mlp.optimizers import optimizer_for

TORCHS: dict[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", TORCHS)
def test_a_hundred_steps_are_torchs(name: Any, weight_decay: float) -> None:
    torch.manual_seed(0)
    ours = torch.randn(50)
    theirs = torch.nn.Parameter(ours.clone())
    optimizer = optimizer_for(ours, settings(optimizer=name, weight_decay=weight_decay))
    reference = TORCHS[name]([theirs], lr=0.1, weight_decay=weight_decay)  # type: ignore[call-arg]

    for number in range(100):
        gradient, rate = torch.randn(50), 0.1 / (1 + number)
        reference.param_groups[0]["lr"] = rate
        theirs.grad = gradient.clone()
        reference.step()
        optimizer.step(gradient, rate)

    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TORCHS)
def test_a_step_leaves_the_gradient_alone(name: Any) -> None:
    values, gradient = torch.ones(3), torch.ones(3)

    optimizer_for(values, settings(optimizer=name, weight_decay=0.5)).step(gradient, 0.1)

    assert gradient.tolist() == [1, 1, 1]
    assert (values < 1).all()
