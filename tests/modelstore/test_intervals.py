"""Intervals by formula, held to published ones."""

from __future__ import annotations

import pytest

from modelstore.intervals import interval, wilson


def test_an_interval_ends_where_the_figure_must() -> None:
    assert interval(0.9, 0.1, most=1) == pytest.approx((0.704, 1))
    assert interval(0.1, 0.1)[0] == 0


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263 and 0 of 20
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
