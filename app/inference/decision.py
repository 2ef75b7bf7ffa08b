"""Choose a class from probabilities: the most probable one, or by a decision.

This module must not know any body format. N is rows and K classes everywhere.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.errors import wrong_field
from app.schema import Float32, ModelSchema, answer_kind
from modelstore import Decision


@dataclass(frozen=True, slots=True)
class Override:
    """The decision of a request, which replaces the version's own.

    Attributes:
        threshold: the second of two classes is chosen from this probability on; None for the most probable class.
    """

    threshold: float | None = None


def apply_override(schema: ModelSchema, override: Override | None, prefix: str = "") -> ModelSchema:
    """Return the schema with the decision of a request, or itself if the request has none.

    Args:
        schema: schema of the version.
        override: the decision.
        prefix: what the request has before its name, for messages.

    Raises:
        InvalidInput: if the model has no classes, or more than two beside a threshold.
    """
    if override is None:
        return schema
    if schema.task == "regression":
        name = "decision" if override.threshold is None else "threshold"
        raise wrong_field(f"{prefix}{name}", f"is for classes; {schema.name} answers a quantity")
    if override.threshold is not None and len(schema.classes) != 2:
        raise wrong_field(f"{prefix}threshold", f"is for two classes; {schema.name} has {len(schema.classes)}")
    return _with_threshold(schema, override.threshold)


def choose(outputs: Float32, decision: Decision) -> NDArray[np.intp]:
    """Return the index of the chosen class of each row, (N,), from probabilities (N, K).

    A threshold is compared in the precision of the probabilities. Among classes of equal cost (to nine digits of the
    largest one), the first is chosen, so that a row alone and among others gets the same class.
    """
    if decision.threshold is not None:
        return (outputs[:, 1] >= decision.threshold).astype(np.intp)
    costs = np.array(decision.costs, dtype=np.float64)  # (K, K)
    expected = outputs.astype(np.float64) @ costs / (np.abs(costs).max() or 1)  # (N, K)
    chosen: NDArray[np.intp] = expected.round(9).argmin(axis=1)
    return chosen


def find_winners(by_class: Float32) -> NDArray[np.int8]:
    """Return the argmax over the classes, shape (N,), from columns of finite values, shape (K, N)."""
    best, winners = by_class[0], np.zeros(by_class.shape[1], dtype=np.int8)
    for k, column in enumerate(by_class[1:], start=1):
        better = (column > best).view(np.int8)  # 1 where k exceeds all earlier classes, so the greatest such k wins
        np.maximum(winners, better * np.int8(k), out=winners)
        best = np.maximum(best, column)
    return winners


@functools.lru_cache(maxsize=256)
def _with_threshold(schema: ModelSchema, threshold: float | None) -> ModelSchema:
    decision = None if threshold is None else Decision(threshold=threshold)
    return replace(schema, decision=decision, kind=answer_kind(schema.task, decision))
