"""Write predictions as text, one record per row.

This module must not know any particular format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.inference.additions.added import Added
from app.inference.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Frame:
    """The constant text around the cells of a row.

    Attributes:
        labels: text of each class where it is the label of a row, with all text before and after it.
        before: text before each cell of a row.
        end: text that ends a row.
        note: the last cell of a row whose label is not the most probable class; that of other rows is empty. None
            without a decision.
        between: text between two rows.
        added: returns the cells of the additional answers, column by column; None without any.
    """

    labels: list[bytes]
    before: list[bytes]
    end: bytes
    between: bytes
    note: bytes | None = None
    added: Callable[[Added], list[list[bytes]]] | None = None


def write(predictions: Predictions, frame: Frame) -> bytes:
    """Return the rows of an answer as text in this frame.

    The parts are interleaved column by column, which takes a quarter of the time of formatting row by row.
    """
    rows, cells = predictions.rows, predictions.cells(frame.labels)
    if frame.note is not None:
        cells.append([frame.note if departs else b"" for departs in predictions.departs])
    if frame.added is not None:
        cells += frame.added(predictions.added)
    width = 1 + len(cells) + sum(map(bool, frame.before))
    parts = [frame.end + frame.between] * (rows * width)
    place = 0
    for before, column in zip(frame.before, cells, strict=True):
        if before:
            parts[place::width] = [before] * rows
            place += 1
        parts[place::width] = column
        place += 1
    parts[-1] = frame.end
    return b"".join(parts)
