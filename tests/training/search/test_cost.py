from __future__ import annotations

from typing import Any

import pytest

from tests.training.samples import clouds
from training.config.learner_settings import TrainingSettings
from training.search.cost import network_s

ROWS = clouds(200)


def planned(**fields: Any) -> float:
    return network_s(TrainingSettings(**fields), ROWS)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ({"epochs": 10}, {"epochs": 11}),
        ({"hidden": (8,)}, {"hidden": (8, 8)}),
        ({"batch_size": 100}, {"batch_size": 10}),
        ({"activation": "relu"}, {"activation": "gelu"}),
        ({"batch_norm": False}, {"batch_norm": True}),
        ({"l1": 0.0}, {"l1": 0.01}),
    ],
)
def test_more_work_is_planned_to_take_longer(less: dict[str, Any], more: dict[str, Any]) -> None:
    assert planned(**less) < planned(**more)
