from __future__ import annotations

import numpy as np
import pytest

from training.data.histogram import MOST_BINS, RunningHistogram, days_in, number_in


def of(*blocks: np.ndarray) -> RunningHistogram:
    found = RunningHistogram()
    for block in blocks:
        found.add(block)
    return found


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(50, 20, 5000).round(1),
        np.random.default_rng(1).lognormal(8, 2, 5000),
        np.random.default_rng(2).integers(-40, 260, 5000),
        np.array([0.1, 0.2, 0.3, 0.7, 1.1, 2.9]),
        np.array([0.0, 0.0, 1e-9]),
        np.array([1e300, -1e300, 3e299]),
        np.array([1e15, 1e15 + 1, 1e15 + 2]),
    ],
    ids=["normal", "skewed", "whole", "decimals", "tiny", "huge", "far from zero"],
)
def test_counts_are_those_of_numpy_with_the_same_edges(values: np.ndarray) -> None:
    found = of(values).result()

    assert found is not None
    edges = np.array(found.edges, dtype=np.float64)
    assert len(found.rows) <= MOST_BINS
    assert edges[0] <= values.min() < edges[1]
    assert edges[-2] <= values.max() < edges[-1]
    assert list(found.rows) == np.histogram(values, edges)[0].tolist()


def test_order_and_size_of_the_blocks_change_nothing() -> None:
    values = np.concatenate((np.zeros(3), np.random.default_rng(0).lognormal(0, 3, 3000), [1e9, -5.0]))

    whole = of(values).result()

    assert of(*np.split(values, 5)).result() == whole
    assert of(*np.split(values[::-1], 601)).result() == whole


def test_edges_are_round_and_whole_numbers_have_no_bins_between_them() -> None:
    values = np.repeat(np.arange(6), 10)

    assert of(values).result(whole=True).model_dump() == {  # type: ignore[union-attr]
        "edges": (0, 1, 2, 3, 4, 5, 6),
        "rows": (10,) * 6,
    }
    assert of(values * 0.1).result().edges[:3] == (0, 0.05, 0.1)  # type: ignore[union-attr]
    assert of(np.array([0.3, 1.25])).result().edges[:2] == (0.3, 0.4)  # type: ignore[union-attr]


def test_what_is_no_number_is_not_counted() -> None:
    assert of(np.array([np.nan, np.inf])).result() is None
    assert of(np.array([np.nan, 7.0, -np.inf])).result(whole=True).rows == (1,)  # type: ignore[union-attr]


def test_texts_are_counted_by_their_number_or_day() -> None:
    prices, days = RunningHistogram(), RunningHistogram()
    prices.add_texts({"1,500": 2, "20": 3, "x": 4}, number_in("grouped_comma"))
    days.add_texts({"2024-02-01": 2, "2024-02-03 12:00": 1, "soon": 9}, days_in("%Y-%m-%d"))

    assert sum(prices.result().rows) == 5  # type: ignore[union-attr]
    found = days.result(whole=True, dates=True)
    assert found is not None
    assert (found.edges, found.rows) == (("2024-02-01", "2024-02-02", "2024-02-03", "2024-02-04"), (2, 0, 1))


@pytest.mark.parametrize(
    ("dates", "ends", "rows"),
    [
        ({"2024-02-01": 59, "9999-12-31": 1}, ("1970-01-01", "9999-12-31T23:59:59"), (59, 1)),
        ({"0001-01-01": 1, "2024-02-01": 9}, ("0001-01-01", "2243-10-17"), (1, 9)),
        ({"9999-01-31": 3, "9999-12-31": 1}, ("9999-01-19", "9999-12-31T23:59:59"), (3, 1)),
    ],
)
def test_round_edges_beyond_all_dates_are_the_first_and_the_last_moment(
    dates: dict[str, int], ends: tuple[str, str], rows: tuple[int, ...]
) -> None:
    running = RunningHistogram()
    running.add_texts(dates, days_in("default"))

    found = running.result(dates=True)

    assert found is not None
    edges = list(map(str, found.edges))
    assert (edges[0], edges[-1], tuple(filter(None, found.rows))) == (*ends, rows)
    assert sorted(set(edges)) == edges


@pytest.mark.parametrize("value", [0.0, 1e-300, 7.0, -3e300])
@pytest.mark.parametrize("whole", [True, False])
def test_a_column_of_one_value_has_one_bin_that_holds_it(value: float, whole: bool) -> None:
    running = RunningHistogram()
    running.add(np.full(3, value))

    found = running.result(whole=whole and value == int(value))

    assert found is not None
    assert found.rows == (3,)
    assert float(found.edges[0]) <= value < float(found.edges[1])
