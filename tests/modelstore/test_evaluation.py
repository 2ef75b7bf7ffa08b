from __future__ import annotations

import math

import pytest

from modelstore import Metric
from modelstore.evaluation import format_figure


@pytest.mark.parametrize(
    ("ours", "theirs", "greater_is_better", "better"),
    [(0.1, 0.2, False, True), (0.2, 0.1, False, False), (0.2, 0.1, True, True), (0.1, 0.2, True, False)],
)
@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_the_direction_decides_which_value_is_better(
    ours: float, theirs: float, margin: float, *, greater_is_better: bool, better: bool
) -> None:
    first, second = (Metric("figure", value, greater_is_better) for value in (ours, theirs))

    assert first.is_better(second, margin) is better


@pytest.mark.parametrize("greater_is_better", [False, True])
def test_less_than_the_margin_is_not_better(*, greater_is_better: bool) -> None:
    first, second = (Metric("figure", value, greater_is_better) for value in (0.1, 0.2))

    assert not first.is_better(second, 0.3)
    assert not second.is_better(first, 0.3)


def test_an_equal_value_and_no_number_are_not_better() -> None:
    figure = Metric("figure", 0.1)

    assert not figure.is_better(figure)
    assert not Metric("figure", math.nan).is_better(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (0.96666, "0.9667"), (-54.12345, "-54.1234"), (1.19e-7, "1.19e-07"), (2.5e9, "2.5e+09")],
)
def test_a_figure_is_shown_with_digits_that_say_something(value: float, text: str) -> None:
    assert format_figure(value) == text
    assert Metric("figure", value).text == text
