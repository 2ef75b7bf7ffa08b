"""Trees that a reader can follow by hand, and thresholds in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from training.learners.protocol import predictor
from training.learners.trees.walker import Tree, Walker, constant_tree

NAN = float("nan")


def stump(
    threshold: float,
    left: float,
    right: float,
    *,
    missing_left: bool = True,
    sets: Mapping[int, npt.NDArray[np.bool_]] | None = None,
) -> Tree:
    """Return a tree of one test of column 0."""
    return Tree(
        np.zeros(3, dtype=np.int64),
        np.array([threshold, 0, 0]),
        np.array([1, -1, -1]),
        np.array([2, -1, -1]),
        np.array([missing_left, False, False]),
        np.array([[0.0], [left], [right]]),
        sets or {},
    )


def answers(trees: list[Tree], cells: list[float], base: tuple[float, ...] = (0.0,)) -> list[list[float]]:
    """Return the sums for rows of one column."""
    walk = predictor(Walker(trees, np.array(base, dtype=np.float64), columns=1).eval())
    sums: list[list[float]] = walk(np.array(cells, dtype=np.float32)[:, None]).tolist()
    return sums


@pytest.mark.parametrize(("missing_left", "expected"), [(True, 1.0), (False, 2.0)], ids=["left", "right"])
def test_a_missing_value_goes_where_the_tree_says(missing_left: bool, expected: float) -> None:
    tree = stump(0.5, 1, 2, missing_left=missing_left)

    assert answers([tree], [0.4, 0.6, NAN]) == [[1], [2], [expected]]


def test_a_test_of_missing_or_not_sends_every_number_left() -> None:
    tree = stump(np.inf, 1, 2, missing_left=False)

    assert answers([tree], [-3e38, 3e38, NAN]) == [[1], [1], [2]]


@pytest.mark.parametrize("missing_left", [True, False])
def test_codes_go_where_their_set_says_and_codes_beyond_it_as_the_last(missing_left: bool) -> None:
    tree = stump(0.5, 1, 2, missing_left=missing_left, sets={0: np.array([True, False, True, False])})

    assert answers([tree], [0, 1, 2, 3, 9, NAN]) == [[1], [2], [1], [2], [2], [1 if missing_left else 2]]


def test_trees_of_different_depths_add_up_by_output_with_the_base() -> None:
    deep = Tree(
        np.zeros(5, dtype=np.int64),
        np.array([5.0, 0, 2, 0, 0]),
        np.array([2, -1, 3, -1, -1]),
        np.array([1, -1, 4, -1, -1]),
        np.zeros(5, dtype=np.bool_),
        np.array([[0.0], [30], [0], [10], [20]]),
        {},
    )

    sums = answers([deep, constant_tree([7.0]), stump(1, 100, 200), constant_tree([8.0])], [1, 3, 6], base=(0.5, 0.25))

    assert sums == [[110.5, 15.25], [220.5, 15.25], [230.5, 15.25]]


def test_a_leaf_may_add_to_every_output() -> None:
    assert answers([constant_tree([1.0, 2.0]), constant_tree([0.5, 0.5])], [0], base=(0, 0)) == [[1.5, 2.5]]


def test_a_threshold_parts_the_same_float32_numbers_as_in_float64() -> None:
    generator = np.random.default_rng(0)
    numbers = np.sort(generator.standard_normal(300).astype(np.float32) * 10.0 ** generator.integers(-40, 38, 300))
    near = np.concatenate([numbers, np.nextafter(numbers, np.float32(np.inf))]).astype(np.float32)
    middles = (numbers.astype(np.float64) + np.nextafter(numbers, np.float32(np.inf))) / 2
    thresholds = np.concatenate([numbers, middles, np.nextafter(numbers.astype(np.float64), -np.inf), [1e39, -1e39]])

    for start in range(0, len(thresholds), 24):  # as many powers of two as a float32 holds exactly
        some = thresholds[start : start + 24]
        got = predictor(
            Walker([stump(value, 0, 2.0**place) for place, value in enumerate(some)], np.zeros(1), 1).eval()
        )
        expected = ((near[:, None] > some) * 2.0 ** np.arange(len(some))).sum(axis=1)
        np.testing.assert_array_equal(got(near[:, None])[:, 0], expected)
