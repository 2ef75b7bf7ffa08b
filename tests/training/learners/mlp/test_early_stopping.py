from __future__ import annotations

import pytest
import torch

from training.learners.mlp.early_stopping import EarlyStopping


@pytest.mark.parametrize(
    ("patience", "losses", "epochs", "kept"),
    [
        (2, [3.0, 1.0, 2.0, 1.0, 0.5], 4, 2),  # an equal loss is not a better one
        (2, [3.0, 2.0, 2.5, 1.0], 4, 4),
        (0, [1.0, 2.0, 3.0], 3, 3),
        (1, [float("nan"), 1.0], 1, 1),
    ],
    ids=["exhausted", "better in time", "off", "never a number"],
)
def test_training_ends_after_the_patience_with_the_weights_of_the_best_epoch(
    patience: int, losses: list[float], epochs: int, kept: int
) -> None:
    weights = torch.zeros(2)
    stopping = EarlyStopping([weights], patience)
    ran = 0
    for loss in losses:
        ran += 1
        weights.fill_(ran)
        stopping.record(loss)
        if stopping.is_exhausted:
            break
    stopping.restore_best()

    assert ran == epochs
    assert weights.tolist() == [kept, kept]
