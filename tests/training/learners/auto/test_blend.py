"""Blends as modules that can be published."""

from __future__ import annotations

import numpy as np

from tests.training.samples import clouds, learnt, slope
from training.artifact.torchscript import load, to_torchscript
from training.learners.auto.blend import Blend
from training.learners.protocol import predictor


def test_a_blend_answers_the_weighted_mean_and_can_be_published() -> None:
    rows = clouds(90, classes=3)
    members = [learnt(rows, seed=seed, epochs=3).module for seed in range(3)]
    answers = [predictor(member)(rows.x) for member in members]

    blend = Blend(members, [0.5, 0.3, 0.2])

    expected = 0.5 * answers[0] + 0.3 * answers[1] + 0.2 * answers[2]
    np.testing.assert_allclose(load(to_torchscript(blend, rows.x))(rows.x), expected, atol=1e-6)


def test_values_are_blended_alike() -> None:
    rows = slope(50)
    members = [learnt(rows, seed=seed, epochs=3).module for seed in range(2)]

    answers = predictor(Blend(members, [0.25, 0.75]))(rows.x)

    expected = 0.25 * predictor(members[0])(rows.x) + 0.75 * predictor(members[1])(rows.x)
    np.testing.assert_allclose(answers, expected, rtol=1e-6)
