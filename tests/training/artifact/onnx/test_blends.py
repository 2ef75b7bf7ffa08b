"""Blends and temperatures answer as their modules."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.artifact.onnx.running import both
from training.learners.auto.blend import Blend
from training.learners.temperature import Calibrated

ROWS = np.random.default_rng(0).standard_normal((500, 5)).astype(np.float32)


def classifier(seed: int, sharpness: float = 1.0) -> nn.Module:
    """Return a classifier of three classes."""
    torch.manual_seed(seed)
    linear = nn.Linear(5, 3)
    linear.weight.data *= sharpness
    return nn.Sequential(linear, nn.Softmax(dim=1)).eval()


def test_a_blend_is_the_weighted_mean() -> None:
    parts = classifier(0), classifier(1)

    answers, expected = both(Blend(parts, [0.25, 0.75]).eval(), ROWS)

    np.testing.assert_allclose(answers, expected, atol=1e-6)
    np.testing.assert_allclose(answers, 0.25 * both(parts[0], ROWS)[0] + 0.75 * both(parts[1], ROWS)[0], atol=1e-6)


@pytest.mark.parametrize("sharpness", [1.0, 1000.0], ids=["soft", "sure"])
def test_temperatures_and_shifts_agree_even_where_a_probability_is_0(sharpness: float) -> None:
    calibrated = Calibrated(classifier(0, sharpness), np.log([0.5, 1, 2]), 1.7).eval()

    for module in (calibrated, Calibrated(Blend([classifier(1), calibrated], [0.5, 0.5]), np.zeros(3), 0.6)):
        answers, expected = both(module.eval(), ROWS)
        assert np.isfinite(answers).all()
        np.testing.assert_allclose(answers, expected, atol=2e-6)
