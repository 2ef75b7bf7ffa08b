"""The part of a batch's predictions that answers one request.

This module must not know any body format.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from app.inference.additions.added import Added
from app.inference.batch_predictions import BatchClassification, BatchDecision, BatchPredictions, batch_of
from app.schema import Float32, ModelSchema
from modelstore import Task

OVERFLOW = "values are so far outside the training range that the model overflows"


@dataclass(frozen=True, slots=True)
class Predictions:
    """The rows `start` to `stop` of a batch, which answer one request."""

    batch: BatchPredictions
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
        """Return the index of the label of each row."""
        return cast("BatchClassification", self.batch).best[self.start : self.stop]

    @property
    def winners(self) -> NDArray[np.signedinteger]:
        """Return the index of the output that is the answer to each row, or its label's, shape (rows,)."""
        return self.batch.winners[self.start : self.stop]

    @property
    def departs(self) -> list[bool]:
        """Return whether the label of each row is not the most probable class; for a schema with a decision."""
        return cast("BatchDecision", self.batch).departs[self.start : self.stop]

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of the answer by name, each of shape (rows,); `label` holds the index of the class."""
        arrays = self.batch.columns(slice(self.start, self.stop))
        return dict(zip(column_names(self.schema), arrays, strict=True))

    @property
    def added(self) -> Added:
        """Return the additional answers; for a request that asks for any."""
        assert self.batch.added is not None
        return self.batch.added.part(self.start, self.stop)

    def cells(self, labels: Sequence[bytes]) -> list[list[bytes]]:
        """Return the same columns as text; `labels` holds the text of each class."""
        return self.batch.cells(self.start, self.stop, labels)

    def under(self, schema: ModelSchema) -> Predictions:
        """Return the same rows as a batch of their own, with this schema's decision."""
        place = slice(self.start, self.stop)
        return Predictions(batch_of(schema, self.batch.x[place], self.batch.outputs[place]), 0, self.rows)

    def part(self, start: int, rows: int) -> Predictions:
        """Return up to `rows` rows as a batch of their own, whose values are computed for these rows only."""
        if rows >= self.rows:
            return self
        batch, stop = self.batch, min(start + rows, self.rows)
        place = slice(self.start + start, self.start + stop)
        part = type(batch)(batch.schema, batch.x[place], batch.outputs[place])
        if batch.added is not None:
            part.added = batch.added.part(place.start, place.stop)
        return Predictions(part, 0, stop - start)


_COLUMN_NAMES_OF: dict[Task, Callable[[ModelSchema], tuple[str, ...]]] = {
    "classification": lambda schema: ("label", "probability", *(f"probability_{label}" for label in schema.classes)),
    "regression": lambda _schema: ("value",),
}


@functools.lru_cache(maxsize=256)
def column_names(schema: ModelSchema) -> tuple[str, ...]:
    """Return the names of the columns of an answer; labels are texts, the others float32."""
    return _COLUMN_NAMES_OF[schema.task](schema)


def find_overflows(predictions: Predictions, most: int | None = None) -> list[int]:
    """Return the rows, counted from 0, for which float32 overflowed inside the model because of extreme values.

    Args:
        predictions: those of one request; other requests in the batch do not matter.
        most: number of rows to return at most; None for all.
    """
    if predictions.batch.finite:
        return []
    rows: list[int] = np.flatnonzero(~np.isfinite(predictions.outputs).all(axis=1))[:most].tolist()
    return rows
