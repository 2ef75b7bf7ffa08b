"""Predictions for all rows of a batch, for each task.

Values that several writers need are computed once per batch, since each NumPy call costs microseconds. This module must
not know any body format.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from app.inference.additions.added import Added
from app.inference.codecs.columns import all_finite
from app.inference.decision import choose, find_winners
from app.schema import AnswerKind, Float32, ModelSchema
from app.telemetry.version_counters import VersionCounts

# Up to so many numbers are compared in plain Python: for a row of four, 1 us instead of 3 us for three NumPy calls.
_FEW_NUMBERS = 32
# From _MANY_ROWS rows and up to _FEW_CLASSES classes, comparing columns is quicker than argmax along short rows: 20 us
# instead of 130 us for 10,000 rows of 3 classes, 60 us instead of 230 us for 8 classes.
_MANY_ROWS = 1024
_FEW_CLASSES = 8
# Rows are counted by class in the quickest way: one by one if there are few, class by class if there are many rows and
# few classes, and by bincount otherwise.
_COUNT_SINGLY_ROWS, _COUNT_BY_CLASS_ROWS = 4, 4096

_FALSE = b"\0"


V = TypeVar("V")


class lazy(Generic[V]):  # noqa: N801 - as `property`
    """`functools.cached_property` without the lock of Python 3.11: 0.3 us for each value instead of 0.7 us."""

    def __init__(self, compute: Callable[[Any], V]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    def __get__(self, owner: Any, kind: type | None = None) -> V:
        """Compute the value and keep it; later it is found before this method is."""
        value: V = self._compute(owner)
        owner.__dict__[self._name] = value
        return value


class BatchPredictions:
    """Rows and outputs of one forward pass, whatever the task.

    Attributes:
        schema: schema of the version that predicted.
        x: cells, float32, shape (N, W).
        outputs: the numbers that the model returned, float32, shape (N, K).
        timing: start of the computation on the clock of `time.perf_counter_ns`, and its duration in ns.
        added: additional answers to the rows, if the request asks for any.
        ids: the caller's own id of each row, None for a row without one; None if the request has none.
    """

    timing = (0, 0)
    added: Added | None = None
    ids: Sequence[str | None] | None = None

    def __init__(self, schema: ModelSchema, x: Float32, outputs: Float32) -> None:
        self.schema = schema
        self.x = x
        self.outputs = outputs

    @lazy
    def digits(self) -> list[bytes]:
        """Return all outputs, row by row, in the shortest decimal form that gives the same float32; length N * K.

        Values that are not finite become `null`.
        """
        return orjson.dumps(self.outputs.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")

    @lazy
    def finite(self) -> bool:
        """Whether all outputs are finite."""
        if self.outputs.size <= _FEW_NUMBERS:
            return math.isfinite(sum(self.outputs.ravel().tolist()))  # in float64, which so few float32 do not overflow
        return all_finite(self.outputs)

    @lazy
    def unusual(self) -> NDArray[np.bool_] | None:
        """Return a mask of the cells outside the training range or missing, shape (N, W); None if there are none."""
        if len(self.x) == 1 and self.x.size <= _FEW_NUMBERS and _is_usual(self.schema, self.x[0].tolist()):
            return None
        inside: NDArray[np.bool_] = (self.x >= self.schema.low) & (self.x <= self.schema.high)
        return ~inside if _FALSE in inside.tobytes() else None  # four times as fast as inside.all() for few rows

    @lazy
    def outside(self) -> NDArray[np.bool_] | None:
        """Return a mask of the cells that get a warning, shape (N, W); None if there are none."""
        if self.unusual is None:
            return None
        mask: NDArray[np.bool_] = self.unusual & ~(np.isnan(self.x) & self.schema.may_lack)
        return mask if mask.any() else None

    def count(self, counts: VersionCounts) -> None:
        """Count missing and unseen values by column and rows with a warning, and add some of the rows to the sample."""
        counts.count_sample(self.x, self.outputs)
        if self.unusual is None:
            return
        if self.outside is not None:
            counts.count_outside(int(self.outside.any(axis=1).sum()))
        if self.schema.takes_missing:
            missing, beyond = np.isnan(self.x).sum(axis=0), (self.x > self.schema.high).sum(axis=0)
            for feature, start in zip(self.schema.types, self.schema.starts, strict=True):
                counts.count_unusual(feature.name, "missing", int(missing[start]))
                if feature.type == "categorical":
                    counts.count_unusual(feature.name, "unseen", int(beyond[start]))

    @lazy
    def winners(self) -> NDArray[np.signedinteger]:
        """Return the index of the output that is the answer to each row, shape (N,)."""
        raise NotImplementedError

    def columns(self, part: slice) -> list[NDArray[Any]]:
        """Return the columns of the answer to some rows, in the order of `column_names`; labels are indices."""
        raise NotImplementedError

    def cells(self, start: int, stop: int, labels: Sequence[bytes]) -> list[list[bytes]]:
        """Return the columns of the answer to some rows as text; `labels` holds the text of each class."""
        raise NotImplementedError

    def fill(self, templates: Sequence[bytes], row: int) -> bytes:
        """Return the text of one row; `templates` has one for each class, or one for a quantity."""
        raise NotImplementedError


class BatchClassification(BatchPredictions):
    """Classes of a batch; its outputs are the probabilities of the K classes."""

    @lazy
    def by_class(self) -> Float32:
        """Return the probabilities class by class, shape (K, N), C-contiguous."""
        return np.ascontiguousarray(self.outputs.T)

    @lazy
    def winners(self) -> NDArray[np.signedinteger]:
        """Return the index of the most probable class of each row, shape (N,); the lowest index among equals."""
        rows, classes = self.outputs.shape
        if rows >= _MANY_ROWS and classes <= _FEW_CLASSES and self.finite:
            return find_winners(self.by_class)
        winners: NDArray[np.intp] = self.outputs.argmax(axis=1)
        return winners

    @lazy
    def winning(self) -> Float32:
        """Return the probability of the most probable class of each row, shape (N,)."""
        winning: Float32 = self.by_class.max(axis=0)
        return winning

    @lazy
    def best(self) -> list[int]:
        """Return `winners` as a list, which is quicker to read item by item."""
        if len(self.outputs) == 1 and self.outputs.size <= _FEW_NUMBERS and self.finite:
            row: list[float] = self.outputs[0].tolist()
            return [row.index(max(row))]
        best: list[int] = self.winners.tolist()
        return best

    def count(self, counts: VersionCounts) -> None:
        """Count also by class those that did not overflow."""
        super().count(counts)
        if not counts.classes:
            return
        if len(self.x) <= _COUNT_SINGLY_ROWS and self.finite:
            for winner in self.best:
                counts.count_predictions(winner, 1)
            return
        winners = self.winners if self.finite else self.winners[np.isfinite(self.outputs).all(axis=1)]
        classes = len(counts.classes)
        if len(winners) >= _COUNT_BY_CLASS_ROWS and classes <= _FEW_CLASSES:
            rows = [np.count_nonzero(winners == k) for k in range(classes)]
        else:
            rows = np.bincount(winners).tolist()
        for winner, count in enumerate(rows):
            counts.count_predictions(winner, int(count))

    def columns(self, part: slice) -> list[NDArray[Any]]:
        """Return label, probability and the probability of each class."""
        return [self.winners[part], self.winning[part], *self.by_class[:, part]]

    def cells(self, start: int, stop: int, labels: Sequence[bytes]) -> list[list[bytes]]:
        """Return the same columns as text."""
        classes = len(labels)
        best, digits = self.best[start:stop], self.digits[start * classes : stop * classes]
        winning = [digits[place + k] for place, k in zip(range(0, len(digits), classes), best, strict=True)]
        return [[labels[k] for k in best], winning, *[digits[k::classes] for k in range(classes)]]

    def fill(self, templates: Sequence[bytes], row: int) -> bytes:
        """Return the text of one row: its label's template with its probability and that of each class."""
        best, first = self.best[row], row * len(templates)
        digits = self.digits[first : first + len(templates)]
        return templates[best] % (digits[best], *digits)


class BatchDecision(BatchClassification):
    """Classes of a batch that are chosen by the decision of its schema."""

    @lazy
    def winners(self) -> NDArray[np.signedinteger]:
        """Return the index of the chosen class of each row, shape (N,)."""
        assert self.schema.decision is not None
        return choose(self.outputs, self.schema.decision)

    @lazy
    def best(self) -> list[int]:
        """Return `winners` as a list."""
        best: list[int] = self.winners.tolist()
        return best

    @lazy
    def winning(self) -> Float32:
        """Return the probability of the chosen class of each row, shape (N,)."""
        winning: Float32 = self.outputs[np.arange(len(self.outputs)), self.winners]
        return winning

    @lazy
    def departs(self) -> list[bool]:
        """Return whether the chosen class of each row is not the most probable one."""
        departs: list[bool] = (self.outputs.max(axis=1) > self.winning).tolist()
        return departs

    def fill(self, templates: Sequence[bytes], row: int) -> bytes:
        """Return the text of one row; each class has a second template for where it is not the most probable one."""
        classes = len(templates) // 2
        best, first = self.best[row], row * classes
        digits = self.digits[first : first + classes]
        return templates[best + classes * self.departs[row]] % (digits[best], *digits)


class BatchRegression(BatchPredictions):
    """Quantities of a batch; its outputs, shape (N, 1), are in the unit of the target."""

    def count(self, counts: VersionCounts) -> None:
        """Count also the values of rows that did not overflow."""
        super().count(counts)
        values = self.outputs if self.finite else self.outputs[np.isfinite(self.outputs)]
        counts.count_values(values.size, float(values.sum(dtype=np.float64)))

    @lazy
    def winners(self) -> NDArray[np.signedinteger]:
        """Return the index of the only output for each row, shape (N,)."""
        return np.zeros(len(self.outputs), dtype=np.intp)

    def columns(self, part: slice) -> list[NDArray[Any]]:
        """Return the values."""
        return [np.ascontiguousarray(self.outputs[part, 0])]

    def cells(self, start: int, stop: int, labels: Sequence[bytes]) -> list[list[bytes]]:
        """Return the values as text."""
        return [self.digits[start:stop]]

    def fill(self, templates: Sequence[bytes], row: int) -> bytes:
        """Return the text of one row."""
        return templates[0] % self.digits[row]


def _is_usual(schema: ModelSchema, cells: Sequence[float]) -> bool:
    """Return whether all cells of a row are within the training range; a missing one is not."""
    low, high = _limits(schema)
    return all(map(operator.le, low, cells)) and all(map(operator.le, cells, high))


@lru_cache(maxsize=256)
def _limits(schema: ModelSchema) -> tuple[list[float], list[float]]:
    """Return the smallest and the largest usual value of each cell."""
    return schema.low.tolist(), schema.high.tolist()


_OF_KIND: dict[AnswerKind, type[BatchPredictions]] = {
    "classification": BatchClassification,
    "regression": BatchRegression,
    "decision": BatchDecision,
}


def batch_of(schema: ModelSchema, x: Float32, outputs: Float32) -> BatchPredictions:
    """Return the predictions of a batch for the schema's kind of answers."""
    return _OF_KIND[schema.kind](schema, x, outputs)
