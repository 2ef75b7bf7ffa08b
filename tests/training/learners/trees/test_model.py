"""Cells to answers through inputs, trees and link."""

from __future__ import annotations

import numpy as np
from torch import nn

from training.artifact.torchscript import load, to_torchscript
from training.data.columns import Column
from training.learners.mlp.network import BinaryLink
from training.learners.protocol import predictor
from training.learners.trees.inputs import inputs_of
from training.learners.trees.model import TreeModel
from training.learners.trees.walker import Walker, constant_tree

CELLS = np.zeros((3, 2), dtype=np.float32)


def model_of(base: list[float], link: nn.Module) -> TreeModel:
    inputs = inputs_of((Column("size"), Column("plan", "categorical", ("basic",))))
    return TreeModel(inputs, Walker([constant_tree([0.0])] * len(base), np.array(base), columns=2), link)


def test_a_published_model_answers_through_its_link() -> None:
    answers = load(to_torchscript(model_of([np.log(3)], BinaryLink()), CELLS))(CELLS)

    np.testing.assert_allclose(answers, [[0.25, 0.75]] * 3, atol=1e-7)
    assert answers.dtype == np.float32


def test_a_value_is_summed_in_float64() -> None:
    model = TreeModel(
        inputs_of((Column("size"),)),
        Walker([constant_tree([0.2])] * 10, np.array([16_777_216.0]), columns=1),
        nn.Identity(),
    )

    assert predictor(model)(CELLS[:, :1])[0, 0] == np.float32(16_777_218.0)
