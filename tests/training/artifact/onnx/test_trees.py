"""The tree ensemble answers as the walker, which is held to scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from torch import nn

from tests.training.artifact.onnx.running import both
from tests.training.learners.trees.test_walker import NAN, stump
from tests.training.samples import typed
from training.learners.mlp.network import BinaryLink
from training.learners.protocol import predictor
from training.learners.trees.inputs import codes_of, inputs_of
from training.learners.trees.model import TreeModel
from training.learners.trees.scikit import read_boosting, read_forest
from training.learners.trees.walker import Tree, Walker, constant_tree


def answers(trees: list[Tree], cells: list[float], base: tuple[float, ...] = (0.0,)) -> list[list[float]]:
    """Return the sums of the file for rows of one column."""
    walker = Walker(trees, np.array(base, dtype=np.float64), columns=1).eval()
    ours, theirs = both(walker, np.array(cells, dtype=np.float32)[:, None])
    assert np.array_equal(ours, theirs)
    sums: list[list[float]] = ours.tolist()
    return sums


@pytest.mark.parametrize(("missing_left", "expected"), [(True, 1.0), (False, 2.0)], ids=["left", "right"])
def test_a_missing_value_goes_where_the_tree_says(missing_left: bool, expected: float) -> None:
    assert answers([stump(0.5, 1, 2, missing_left=missing_left)], [0.4, 0.6, NAN]) == [[1], [2], [expected]]


def test_a_test_of_missing_or_not_sends_every_number_left() -> None:
    assert answers([stump(np.inf, 1, 2, missing_left=False)], [-3e38, 3e38, NAN]) == [[1], [1], [2]]


@pytest.mark.parametrize("missing_left", [True, False])
def test_codes_go_where_their_set_says_and_codes_beyond_it_as_the_last(missing_left: bool) -> None:
    tree = stump(0.5, 1, 2, missing_left=missing_left, sets={0: np.array([True, False, True, False])})

    assert answers([tree], [0, 1, 2, 3, 9, NAN]) == [[1], [2], [1], [2], [2], [1 if missing_left else 2]]


def test_trees_add_up_by_output_also_where_an_output_has_nothing_but_its_base() -> None:
    trees = [stump(0, 10, 20), constant_tree([0.0]), stump(0, 3, 0), constant_tree([0.0])]

    assert answers(trees, [-1, 1], base=(0.5, 0.25)) == [[13.5, 0.25], [20.5, 0.25]]
    assert answers([constant_tree([1.0, 0.0])], [0], base=(0, 0.25)) == [[1, 0.25]]


def test_a_threshold_between_two_float32_numbers_parts_them() -> None:
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    middle = (float(low) + float(high)) / 2

    assert answers([stump(middle, 1, 2)], [float(low), float(high)]) == [[1], [2]]


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 4, 0])
def test_boosted_trees_agree_on_rows_with_gaps_dates_and_unseen_texts(classes: int) -> None:
    train, rows = typed(1000), typed(10_000, seed=1, gaps=0.2)
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    inputs = inputs_of(train.columns)
    y = (train.y + np.nan_to_num(train.x[:, 3])) % classes if classes else 1000 + 50 * train.y
    model = kind(max_iter=20, categorical_features=[0, 1], random_state=0).fit(predictor(inputs)(train.x), y)
    read = read_boosting(model, 20, codes_of(train.columns))
    link = nn.Softmax(dim=1) if classes > 2 else BinaryLink() if classes else nn.Identity()
    walker = Walker([tree for one in read.trees for tree in one], read.base, 9)
    assert walker.has_sets

    ours, theirs = both(TreeModel(inputs, walker, link).eval(), rows.x)

    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=3e-7)


@pytest.mark.parametrize("classes", [5, 0])
def test_forests_agree_on_rows_with_gaps(classes: int) -> None:
    train, rows = typed(800), typed(10_000, seed=1, gaps=0.2)
    inputs, kind = inputs_of(train.columns), ExtraTreesClassifier if classes else ExtraTreesRegressor
    y = np.nan_to_num(train.x[:, 0]).astype(int) % classes if classes else np.nan_to_num(train.x[:, 0])
    model = kind(20, max_depth=12, random_state=0).fit(predictor(inputs)(train.x), y)
    walker = Walker(read_forest(model, classes or 1), np.full(classes or 1, 0.001), 9)

    ours, theirs = both(TreeModel(inputs, walker, nn.Identity()).eval(), rows.x)

    np.testing.assert_allclose(ours, theirs, atol=1e-6, rtol=3e-7)
