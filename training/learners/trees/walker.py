"""All trees of a model as one torch module: every row walks through all of them at once.

It must not know how the trees were fitted. N is rows, C columns, T trees, K outputs and M nodes everywhere.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LARGEST = float(np.finfo(np.float32).max)
GROUP = 400  # trees that are walked through together: what 1024 rows need for them stays near the processor's cache


class Tree(NamedTuple):
    """One tree; node 0 is the root.

    Attributes:
        column: the column that each node tests, (M,); of a leaf, any.
        threshold: largest value that goes left, (M,); infinite if all values do.
        left: the node for rows that go left, (M,); -1 makes a leaf.
        right: the node for all others, (M,).
        missing_left: whether rows with a missing value go left, (M,).
        values: what a leaf adds to the outputs, (M, V): V is K, or 1 if the tree is for one output.
        sets: by node that tests categories, whether each code goes left, bool (codes,); missing goes as
            `missing_left` says.
    """

    column: Ints
    threshold: Floats
    left: Ints
    right: Ints
    missing_left: Bools
    values: Floats
    sets: Mapping[int, Bools]


def constant_tree(values: Sequence[float]) -> Tree:
    """Return a tree that consists of one leaf."""
    one = np.zeros(1, dtype=np.int64)
    return Tree(one, np.zeros(1), one - 1, one - 1, np.ones(1, dtype=np.bool_), np.array([values], dtype=float), {})


class Walker(nn.Module):
    """Columns to the sums of the leaves' values.

    A row is at one node of each tree and takes `depth` steps; a leaf leads to itself. The right child follows the left
    one, so a step is `left + (value > threshold)`. Each row has every column twice, with -inf and with inf in place of
    missing values, so that no step looks for them, and a column of 0 (left) and 1 for each set of categories.

    Attributes:
        roots: first node of each tree, int32 (T,).
        column: tested column of each node, int64 (M,).
        threshold: float32 (M,); x <= threshold in float32 exactly if x <= the fitted threshold in float64.
        left: int32 (M,).
        values: float32 (M, V).
        base: added to the sums, float64 (K,).
        tested: categorical column of each of S sets, int64 (S,).
        starts: place of each set in `sets`, int64 (S,).
        most: last code + 1 of each categorical column, which are the first, float32.
        sets: of each set, 0 (left) or 1 for missing, then for each code, float32.
    """

    roots: Tensor
    column: Tensor
    threshold: Tensor
    left: Tensor
    values: Tensor
    base: Tensor
    tested: Tensor
    starts: Tensor
    most: Tensor
    sets: Tensor

    def __init__(self, trees: Sequence[Tree], base: Floats, columns: int) -> None:
        """Arrange the trees.

        Args:
            trees: T of them; if each is for one output, those of the K outputs in turn.
            base: the sums without any tree, length K.
            columns: C.
        """
        super().__init__()
        nodes = _arrange(trees)
        column, sets = _plan(nodes, columns)
        tested = np.array([place for place, _ in sets], dtype=np.int64)
        lengths = np.array([len(members) for _, members in sets], dtype=np.int64)
        most = np.zeros(tested.max(initial=-1) + 1, dtype=np.float32)
        most[tested] = lengths - 1
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "roots": np.arange(len(trees), dtype=np.int32),
            "column": column,
            "threshold": _round_down(nodes.threshold),
            "left": nodes.left.astype(np.int32),
            "values": nodes.values.astype(np.float32),
            "base": base,
            "tested": tested,
            "starts": np.cumsum(lengths) - lengths,
            "most": most,
            "sets": np.concatenate([*(members for _, members in sets), []]).astype(np.float32),
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(array)))
        self.trees, self.columns, self.outputs = len(trees), columns, len(base)
        self.depth, self.has_sets = nodes.depth, len(sets) > 0
        self.group = max(1, GROUP // self.outputs) * self.outputs  # so that each begins with the first output

    def forward(self, x: Tensor) -> Tensor:
        """Return sums, float64 (N, K), of columns, float32 (N, C)."""
        rows, missing = x.shape[0], torch.isnan(x)
        parts = [x.masked_fill(missing, -torch.inf), x.masked_fill(missing, torch.inf)]
        if self.has_sets:
            codes = torch.nan_to_num(x.narrow(1, 0, self.most.shape[0]), nan=-1.0) + 1  # (N, categorical columns)
            codes = torch.minimum(codes.clamp(min=0), self.most).to(torch.int64)
            places = codes.index_select(1, self.tested) + self.starts  # (N, S)
            parts.append(self.sets.index_select(0, places.reshape(-1)).view(places.shape))
        values = torch.cat(parts, dim=1)  # (N, 2 C + S)
        sums = self.base.expand(rows, self.outputs)
        for first in range(0, self.trees, self.group):
            sums = sums + self._walk(values, self.roots[first : first + self.group])
        return sums

    def _walk(self, values: Tensor, node: Tensor) -> Tensor:
        """Return the sums of trees, float64 (N, K), from their roots, for widened rows."""
        rows, trees = values.shape[0], node.shape[0]
        node = node.expand(rows, trees)
        for _ in range(self.depth):
            at = node.reshape(-1)
            column = self.column.index_select(0, at).view(rows, trees)
            threshold = self.threshold.index_select(0, at).view(rows, trees)
            left = self.left.index_select(0, at).view(rows, trees)
            node = left + (values.gather(1, column) > threshold)
        leaves = self.values.index_select(0, node.reshape(-1))  # (N T, V)
        outputs = leaves.view(rows, trees * leaves.shape[1] // self.outputs, self.outputs)
        return outputs.sum(dim=1, dtype=torch.float64)


class _Nodes(NamedTuple):
    """The nodes of all trees, level by level, so that the root of tree t is node t; children stand side by side."""

    column: Ints
    threshold: Floats
    left: Ints
    missing_left: Bools
    values: Floats
    sets: Mapping[int, Bools]
    depth: int


def _arrange(trees: Sequence[Tree]) -> _Nodes:
    sizes = np.array([len(tree.column) for tree in trees])
    starts = np.cumsum(sizes) - sizes
    joined = [np.concatenate(arrays) for arrays in zip(*(tree[:-1] for tree in trees), strict=True)]
    column, threshold, left, right, missing_left, values = joined
    inner, shift = left >= 0, np.repeat(starts, sizes)
    left, right = left + shift, right + shift
    order, level = [starts], starts
    while (parents := level[inner[level]]).size:
        order.append(level := np.column_stack([left[parents], right[parents]]).ravel())
    old = np.concatenate(order)
    new = np.empty_like(old)
    new[old] = np.arange(len(old))
    sets = {
        int(new[start + node]): codes
        for start, tree in zip(starts, trees, strict=True)
        for node, codes in tree.sets.items()
    }
    inner = inner[old]
    return _Nodes(
        np.where(inner, column[old], 0),
        np.where(inner, threshold[old].clip(-LARGEST, LARGEST), np.inf),  # never beyond it, so a leaf leads to itself
        np.where(inner, new[left[old].clip(0, len(old) - 1)], np.arange(len(old))),
        missing_left[old],
        values[old],
        sets,
        len(order) - 1,
    )


def _plan(nodes: _Nodes, columns: int) -> tuple[Ints, list[tuple[int, Bools]]]:
    """Return which column of the widened rows each node tests, and the sets as (column, goes right by code + 1)."""
    column = np.where(nodes.missing_left, nodes.column, nodes.column + columns)
    known: dict[tuple[int, bytes], int] = {}
    sets: list[tuple[int, Bools]] = []
    for node, goes_left in nodes.sets.items():
        members = ~np.concatenate([nodes.missing_left[node : node + 1], goes_left])
        tested = int(nodes.column[node])
        place = known.setdefault((tested, members.tobytes()), len(known))
        if place == len(sets):
            sets.append((tested, members))
        column[node] = 2 * columns + place
        nodes.threshold[node] = 0.5
    return column, sets


def _round_down(threshold: Floats) -> npt.NDArray[np.float32]:
    """Return the largest float32 that is not above each number, so that x <= it means the same for every float32 x."""
    near = threshold.astype(np.float32)
    above = near > threshold
    near[above] = np.nextafter(near[above], np.float32(-np.inf))
    return near
