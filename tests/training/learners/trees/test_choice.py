"""The choice of a setting by rows that a model has not seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from tests.training.samples import ignore
from training.learners.trees.choice import THOROUGH_ROWS, Part, fit_best, parts_of


class Guess(NamedTuple):
    """A model that always says its setting."""

    part: Part
    loss: float


@pytest.mark.parametrize(
    ("rows", "chosen", "fits"),
    [(6, 25, 4), (THOROUGH_ROWS + 1, 10, 3)],
    ids=["few rows: all parts", "many rows: the first part"],
)
def test_the_setting_of_the_smallest_loss_is_fitted_to_every_part(rows: int, chosen: int, fits: int) -> None:
    parts = parts_of(rows, [np.arange(2), np.arange(4, rows)])
    fitted = []

    def fit(setting: int, part: Part) -> Guess:
        fitted.append(setting)
        return Guess(part, (setting - (10 if part.held[0] == 0 else 40)) ** 2)

    setting, models = fit_best("guesses", [10, 25], parts, fit, ignore)

    assert setting == chosen
    assert [model.part.held[0] for model in models] == [0, 4]
    assert len(fitted) == fits


def test_the_rest_of_a_part_is_all_other_rows() -> None:
    (part,) = parts_of(5, [np.array([1, 3])])

    assert part.rest.tolist() == [0, 2, 4]
