from __future__ import annotations

import pytest
from pydantic import ValidationError

from modelstore.search import Search, Trial


def test_settings_are_said_as_one_phrase() -> None:
    assert Trial(settings={}).text == "those of the training itself"
    assert Trial(settings={"hidden": [64, 32], "lr": 0.00123456, "activation": "gelu"}).text == (
        "hidden 64-32, lr 0.00123, activation gelu"
    )
    assert Trial(settings={"trees": {"leaves": 7, "l2": 0.5}}).text == "leaves 7, l2 0.5"


@pytest.mark.parametrize("best", [0, 2])
def test_the_best_settings_have_a_loss(best: int) -> None:
    trials = (Trial(settings={}), Trial(settings={"lr": 0.1}, loss=0.5))

    assert Search(wanted=2, metric="rmse", judged_by="rows", trials=trials, best=1).best == 1
    with pytest.raises(ValidationError, match="the best settings must be among those with a loss"):
        Search(wanted=2, metric="rmse", judged_by="rows", trials=trials, best=best)
