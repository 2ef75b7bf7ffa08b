"""Read the trees of scikit-learn's fitted models.

The arrays of its histogram boosting are private (`_predictors`, `_preprocessor`); this is the only module that uses
them, and its test compares the answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from training.learners.trees.walker import Bools, Floats, Tree


class Boosted(NamedTuple):
    """A boosted model.

    Attributes:
        trees: by iteration, one tree for each output.
        base: sums of the outputs without any tree, float64.
    """

    trees: list[list[Tree]]
    base: Floats


def read_boosting(model: Any, iterations: int, codes: Sequence[int]) -> Boosted:
    """Return the first iterations of a `HistGradientBoostingClassifier` or `...Regressor`.

    Args:
        model: fitted to columns of which the first are categorical, those with codes.
        iterations: how many are wanted.
        codes: number of codes of each categorical column.
    """
    known = _categories(model, codes)
    trees = [[_convert_boosted(predictor, known) for predictor in one] for one in model._predictors[:iterations]]
    return Boosted(trees, np.ravel(model._baseline_prediction))


def _convert_boosted(predictor: Any, known: list[Floats]) -> Tree:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    missing_left = nodes["missing_go_to_left"] == 1
    sets = {
        int(node): _members(
            known[nodes["feature_idx"][node]],
            predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]],
            bool(missing_left[node]),
        )
        for node in np.flatnonzero(inner & (nodes["is_categorical"] == 1))
    }
    left, right = (np.where(inner, nodes[side].astype(np.int64), -1) for side in ("left", "right"))
    return Tree(nodes["feature_idx"], nodes["num_threshold"], left, right, missing_left, nodes["value"][:, None], sets)


def _categories(model: Any, codes: Sequence[int]) -> list[Floats]:
    """Return the number that the model gives to each code of each categorical column; NaN if training had none."""
    if not codes:
        return []
    fitted = model._preprocessor.named_transformers_["encoder"].categories_
    numbers = []
    for count, present in zip(codes, fitted, strict=True):
        number = np.full(count, np.nan)
        some = present[~np.isnan(present)].astype(np.int64)
        number[some] = np.arange(len(some))
        numbers.append(number)
    return numbers


def _members(numbers: Floats, bits: Any, missing_left: bool) -> Bools:
    """Return whether each code goes left; a code without rows in training goes where missing values go."""
    is_set = np.unpackbits(bits.astype("<u4").view(np.uint8), bitorder="little").astype(np.bool_)  # (256,)
    present = ~np.isnan(numbers)
    return np.where(present, is_set[np.where(present, numbers, 0).astype(np.int64)], missing_left)


def read_forest(model: Any, outputs: int) -> list[Tree]:
    """Return the trees of an `ExtraTreesClassifier` or `...Regressor`, whose sums are the forest's answers.

    Args:
        model: fitted to columns.
        outputs: number of classes, of which the model may have seen fewer; 1 for a regression.
    """
    places = getattr(model, "classes_", [0])
    return [_convert_grown(each.tree_, places, outputs, len(model.estimators_)) for each in model.estimators_]


def _convert_grown(tree: Any, places: Any, outputs: int, trees: int) -> Tree:
    values = np.zeros((tree.node_count, outputs))
    values[:, places] = tree.value[:, 0, :] / trees  # shares of the classes (M, K'), or means (M, 1)
    return Tree(
        tree.feature.clip(0),
        tree.threshold,
        tree.children_left,
        tree.children_right,
        tree.missing_go_to_left == 1,
        values,
        {},
    )
