"""Shapley values of a row: which coalitions to compute, and what their outputs mean.

A coalition is a set of features. It is worth the mean output over the background rows, each with these features taken
from the row (the interventional game). Sources: Shapley, A value for n-person games, 1953; Lundberg & Lee, NIPS 2017;
Castro, Gomez & Tejada, Comput. Oper. Res. 36, 2009, for permutations. F is features, B background rows.
This module must not know models or requests.
"""

from __future__ import annotations

import functools
import math
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

BUDGET_ROWS = 131_072  # rows to compute for one row: all coalitions of 12 features against 32 background rows
LEAST_PAIRS = 2  # of permutations, as one has no standard error

Method = Literal["shapley-exact", "shapley-permutation"]
Floats = NDArray[np.float64]


class Values(NamedTuple):
    """Shapley values of one row.

    Attributes:
        base: the mean output over the background rows.
        contributions: one of each feature, (F,); with the base, they add up to the output of the row.
        errors: their standard errors, (F,); None if they are exact.
    """

    base: float
    contributions: Floats
    errors: Floats | None


class Plan(Protocol):
    """The coalitions to compute for each row, numbered from 0: the empty one first, that of all features last."""

    method: Method
    coalitions: int

    def members(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which features belong to some of the coalitions, (stop - start, F)."""

    def values(self, worth: Floats) -> Values:
        """Return the Shapley values for the worth of all coalitions, (coalitions,)."""


class Exact:
    """All coalitions; the bits of a coalition's number say which features belong to it."""

    method: Method = "shapley-exact"

    def __init__(self, features: int) -> None:
        self.coalitions = 1 << features
        self._bits = 1 << np.arange(features)  # (F,)
        sizes = self.members(0, self.coalitions).sum(axis=1)  # (2^F,)
        weights = [1 / (features * math.comb(features - 1, size)) for size in range(features)]
        self._weights = np.array([*weights, 0.0])[sizes]  # of what a feature adds to a coalition, (2^F,)

    def members(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which features belong to some of the coalitions."""
        found: NDArray[np.bool_] = (np.arange(start, stop)[:, None] & self._bits) != 0
        return found

    def values(self, worth: Floats) -> Values:
        """Return the Shapley values."""
        without = [np.flatnonzero((np.arange(self.coalitions) & bit) == 0) for bit in self._bits]
        added = [
            self._weights[some] @ (worth[some | bit] - worth[some])
            for some, bit in zip(without, self._bits, strict=True)
        ]
        return Values(float(worth[0]), np.array(added), None)


class Permutations:
    """The coalitions that grow along random orders of the features, and along the same orders backwards.

    The orders are always the same, so equal rows get equal answers.
    """

    method: Method = "shapley-permutation"

    def __init__(self, features: int, pairs: int) -> None:
        """Draw the orders.

        Args:
            features: F, at least 2.
            pairs: number of orders, each of which is also walked backwards; at least 2.
        """
        self._features, self._pairs = features, pairs
        generator = np.random.default_rng(0)
        self._orders = np.array([generator.permutation(features) for _ in range(pairs)])  # (P, F)
        self._places = self._orders.argsort(axis=1)  # of each feature in an order, (P, F)
        self.coalitions = 2 + 2 * pairs * (features - 1)

    def members(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which features belong to some of the coalitions."""
        numbers = np.arange(start, stop)
        walk, size = np.divmod(numbers - 1, self._features - 1)
        walk = walk.clip(0, 2 * self._pairs - 1)
        size = np.where(numbers == 0, 0, np.where(numbers == self.coalitions - 1, self._features, size + 1))
        places = self._places[walk // 2]  # (n, F)
        backwards = walk[:, None] % 2 == 1
        found: NDArray[np.bool_] = np.where(backwards, self._features - 1 - places, places) < size[:, None]
        return found

    def values(self, worth: Floats) -> Values:
        """Return the means over all walks, and the standard errors of means over the pairs."""
        walks = worth[1:-1].reshape(2 * self._pairs, self._features - 1)
        ends = np.ones((2 * self._pairs, 1))
        added = np.diff(np.hstack((worth[0] * ends, walks, worth[-1] * ends)), axis=1)  # (2P, F), in the walk's order
        both = (added[::2] + added[1::2, ::-1]) / 2  # (P, F)
        of_pairs = np.take_along_axis(both, self._places, axis=1)  # by feature
        errors = of_pairs.std(axis=0, ddof=1) / math.sqrt(self._pairs)
        return Values(float(worth[0]), of_pairs.mean(axis=0), errors)


@functools.lru_cache(maxsize=64)
def plan_for(features: int, background_rows: int, budget_rows: int = BUDGET_ROWS) -> Plan:
    """Return the exact plan if it fits into a budget of rows to compute, else as many permutations as do."""
    if features <= math.log2(max(2, budget_rows / background_rows)):
        return Exact(features)
    pairs = (budget_rows // background_rows - 2) // (2 * (features - 1))
    return Permutations(features, max(LEAST_PAIRS, pairs))
