"""Write trees to a graph as the standard's tree ensemble.

N is rows, T trees, K outputs and M nodes, as in the walker.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.artifact.onnx.encoders import write_calendar
from training.artifact.onnx.graph import Value
from training.artifact.onnx.opset import ML
from training.artifact.onnx.writers import write
from training.learners.trees.inputs import Inputs
from training.learners.trees.model import TreeModel
from training.learners.trees.walker import Walker

Array = npt.NDArray[np.generic]


@write.register
def write_trees(module: TreeModel, x: Value) -> Value:
    """Add the nodes of a `TreeModel`."""
    return write(module.link, write(module.walker, write(module.inputs, x)))


@write.register
def write_inputs(module: Inputs, x: Value) -> Value:
    """Add the nodes of the `Inputs` of trees."""
    parts = [x.columns(module.numbers)]
    if module.has_texts:
        parts.insert(0, x.graph.add("Min", x.columns(module.texts), float(module.last_code)))
    if module.dates:
        places = range(module.dates, module.dates + module.parts)
        parts.append(write_calendar(x.columns(module.days), x.columns(module.days + 1)).columns(places))
    return parts[0].beside(*parts[1:])


@write.register
def write_walker(module: Walker, x: Value) -> Value:
    """Add one tree ensemble; before it, a column of 0 (left) and 1 for each set of categories, as in the walker.

    The standard also has nodes that test membership; onnxruntime walks faster where all nodes compare alike.
    """
    if module.has_sets:
        x = x.beside(_write_sets(module, x))
    nodes = _nodes_of(module)
    order = np.argsort(nodes.treeids, kind="stable")  # the engine takes the first node of each tree for its root
    leaves = _leaves_of(module, nodes)
    sums = x.graph.add(
        "TreeEnsembleRegressor",
        x,
        domain=ML,
        n_targets=module.outputs,
        aggregate_function="SUM",
        post_transform="NONE",
        **{f"nodes_{name}": values[order].tolist() for name, values in nodes._asdict().items()},
        **{f"target_{name}": values.tolist() for name, values in leaves._asdict().items()},
    )
    return sums + module.base.float()  # onnxruntime leaves `base_values` out for a class to which no leaf adds


class _NodeAttributes(NamedTuple):
    """Attributes `nodes_...` of the operator, each root before the others of its tree."""

    treeids: Array
    nodeids: Array
    modes: Array
    featureids: Array
    values: Array
    truenodeids: Array
    falsenodeids: Array
    missing_value_tracks_true: Array


class _Leaves(NamedTuple):
    """Attributes `target_...` of the operator."""

    treeids: Array
    nodeids: Array
    ids: Array
    weights: Array


def _nodes_of(module: Walker) -> _NodeAttributes:
    """Return the nodes; the walker's columns are those for missing on the left, on the right, and the sets."""
    column, left, columns = module.column.numpy(), module.left.numpy().astype(np.int64), module.columns
    places = np.arange(len(left))
    inner, tree = left != places, np.zeros(len(left), dtype=np.int64)
    level = module.roots.numpy().astype(np.int64)
    tree[level] = np.arange(len(level))
    while (parents := level[inner[level]]).size:
        level = np.concatenate([left[parents], left[parents] + 1])
        tree[level] = np.tile(tree[parents], 2)
    return _NodeAttributes(
        tree,
        places,
        np.where(inner, "BRANCH_LEQ", "LEAF"),
        np.where(column < columns, column, column - columns),
        np.where(inner, module.threshold.numpy(), 0),
        np.where(inner, left, 0),
        np.where(inner, left + 1, 0),
        (inner & (column < columns)).astype(np.int64),
    )


def _leaves_of(module: Walker, nodes: _NodeAttributes) -> _Leaves:
    """Return what the leaves add: to one output in turn, or to each if it is not 0, but at least to one."""
    leaves = np.flatnonzero(nodes.modes == "LEAF")
    weights = module.values.numpy()[leaves]  # (L, V)
    if weights.shape[1] < module.outputs:
        return _Leaves(nodes.treeids[leaves], leaves, nodes.treeids[leaves] % module.outputs, weights[:, 0])
    adds = weights != 0
    adds[~adds.any(axis=1), 0] = True
    place, output = np.nonzero(adds)
    return _Leaves(nodes.treeids[leaves[place]], leaves[place], output, weights[adds])


def _write_sets(module: Walker, x: Value) -> Value:
    """Return where each set sends each row, (N, S)."""
    codes = x.columns(range(len(module.most)))
    codes = x.graph.add("Where", codes.is_missing(), -1.0, codes) + 1.0
    codes = x.graph.add("Min", x.graph.add("Max", codes, 0.0), module.most).as_int()
    return x.graph.add("Gather", module.sets, codes.columns(module.tested) + module.starts)
