"""Predictions for a batch of rows, and the part of each request.

Values that several writers need are computed once per batch, since each NumPy call costs microseconds. This module must
not know any body format.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.inference.codecs.columns import all_finite
from app.schema import Float32, ModelSchema
from app.telemetry.version_counters import VersionCounts

# From _MANY_ROWS rows and up to _FEW_CLASSES classes, comparing columns is quicker than argmax along short rows: 20 us
# instead of 130 us for 10,000 rows of 3 classes, 60 us instead of 230 us for 8 classes.
_MANY_ROWS = 1024
_FEW_CLASSES = 8
# Rows are counted by class in the quickest way: one by one if there are few, class by class if there are many rows and
# few classes, and by bincount otherwise.
_COUNT_SINGLY_ROWS, _COUNT_BY_CLASS_ROWS = 4, 4096

_TRUE = b"\x01"


class BatchPredictions:
    """Rows and outputs of one forward pass, whatever the task.

    Attributes:
        schema: schema of the version that predicted.
        x: raw features, float32, shape (N, F).
        outputs: the numbers that the model returned, float32, shape (N, K).
        timing: start of the computation on the clock of `time.perf_counter_ns`, and its duration in ns.
    """

    timing = (0, 0)

    def __init__(self, schema: ModelSchema, x: Float32, outputs: Float32) -> None:
        self.schema = schema
        self.x = x
        self.outputs = outputs

    @cached_property
    def digits(self) -> list[bytes]:
        """Return all outputs, row by row, in the shortest decimal form that gives the same float32; length N * K.

        Values that are not finite become `null`.
        """
        return orjson.dumps(self.outputs.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")

    @cached_property
    def finite(self) -> bool:
        """Whether all outputs are finite."""
        return all_finite(self.outputs)

    @cached_property
    def outside(self) -> NDArray[np.bool_] | None:
        """Return a mask of the values outside the training range, shape (N, F); None if all are inside."""
        mask: NDArray[np.bool_] = (self.x < self.schema.low) | (self.x > self.schema.high)
        return mask if _TRUE in mask.tobytes() else None  # four times as fast as mask.any() for few rows


class BatchClassification(BatchPredictions):
    """Classes of a batch; its outputs are the probabilities of the K classes."""

    @cached_property
    def by_class(self) -> Float32:
        """Return the probabilities class by class, shape (K, N), C-contiguous."""
        return np.ascontiguousarray(self.outputs.T)

    @cached_property
    def winners(self) -> NDArray[np.signedinteger]:
        """Return the index of the most probable class of each row, shape (N,); the lowest index among equals."""
        rows, classes = self.outputs.shape
        if rows >= _MANY_ROWS and classes <= _FEW_CLASSES and self.finite:
            return _find_winners(self.by_class)
        winners: NDArray[np.intp] = self.outputs.argmax(axis=1)
        return winners

    @cached_property
    def winning(self) -> Float32:
        """Return the probability of the most probable class of each row, shape (N,)."""
        winning: Float32 = self.by_class.max(axis=0)
        return winning

    @cached_property
    def best(self) -> list[int]:
        """Return `winners` as a list, which is quicker to read item by item."""
        best: list[int] = self.winners.tolist()
        return best

    def count(self, counts: VersionCounts) -> None:
        """Add some of the rows to the sample, and count by class those that did not overflow."""
        counts.count_sample(self.x, self.outputs)
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


@dataclass(frozen=True, slots=True)
class Predictions:
    """The rows `start` to `stop` of a batch, which answer one request."""

    batch: BatchClassification
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return self.stop - self.start

    @property
    def schema(self) -> ModelSchema:
        """Return the schema of the version that predicted."""
        return self.batch.schema

    @property
    def outputs(self) -> Float32:
        """Return the model's outputs, float32, shape (rows, K)."""
        return self.batch.outputs[self.start : self.stop]

    @property
    def digits(self) -> list[bytes]:
        """Return the outputs in the form of `BatchPredictions.digits`, length rows * K."""
        width = self.batch.outputs.shape[1]
        return self.batch.digits[self.start * width : self.stop * width]

    @property
    def best(self) -> list[int]:
        """Return the index of the most probable class of each row."""
        return self.batch.best[self.start : self.stop]

    @property
    def winners(self) -> NDArray[np.signedinteger]:
        """Return the index of the most probable class of each row as an array, shape (rows,)."""
        return self.batch.winners[self.start : self.stop]

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of the answer by name, each of shape (rows,); `label` holds the index of the class."""
        batch, part = self.batch, slice(self.start, self.stop)
        arrays = (self.winners, batch.winning[part], *batch.by_class[:, part])
        return dict(zip(column_names(batch.schema), arrays, strict=True))

    def cells(self, labels: Sequence[bytes]) -> list[list[bytes]]:
        """Return the same columns as text; `labels` holds the text of each class."""
        classes = len(labels)
        best = self.batch.best[self.start : self.stop]
        digits = self.batch.digits[self.start * classes : self.stop * classes]
        winning = [digits[place + k] for place, k in zip(range(0, len(digits), classes), best, strict=True)]
        return [[labels[k] for k in best], winning, *[digits[k::classes] for k in range(classes)]]

    def part(self, start: int, rows: int) -> Predictions:
        """Return up to `rows` rows as a batch of their own, whose values are computed for these rows only."""
        if rows >= self.rows:
            return self
        batch, stop = self.batch, min(start + rows, self.rows)
        place = slice(self.start + start, self.start + stop)
        return Predictions(type(batch)(batch.schema, batch.x[place], batch.outputs[place]), 0, stop - start)


@functools.lru_cache(maxsize=256)
def column_names(schema: ModelSchema) -> tuple[str, ...]:
    """Return the names of the columns of an answer; the first holds labels, the others float32."""
    return ("label", "probability", *(f"probability_{label}" for label in schema.classes))


def _find_winners(by_class: Float32) -> NDArray[np.int8]:
    """Return the argmax over the classes, shape (N,), from columns of finite values, shape (K, N)."""
    best, winners = by_class[0], np.zeros(by_class.shape[1], dtype=np.int8)
    for k, column in enumerate(by_class[1:], start=1):
        better = (column > best).view(np.int8)  # 1 where k exceeds all earlier classes, so the greatest such k wins
        np.maximum(winners, better * np.int8(k), out=winners)
        best = np.maximum(best, column)
    return winners
