from __future__ import annotations

import numpy as np
from torch import nn

from training.learners.protocol import CHUNK_ROWS, predictor


def test_long_inputs_go_through_in_chunks_with_the_same_predictions() -> None:
    predict = predictor(nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2), nn.Softmax(dim=1)))
    x = np.linspace(-3, 3, CHUNK_ROWS + 5)[:, None]

    whole = predict(x)

    assert len(whole) == len(x)
    np.testing.assert_allclose(whole[-5:], predict(x[-5:]), atol=1e-6)  # another batch size, another summation order


def test_predicting_switches_dropout_off() -> None:
    predict = predictor(nn.Dropout(0.9))
    x = np.ones((4, 20))

    assert np.array_equal(predict(x), x)
