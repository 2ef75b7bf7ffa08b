"""Write answers as text, one record per row, by joining constants and digits once per block.

This module must not know any particular format.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.inference.predictions import Predictions


@dataclass(frozen=True, slots=True)
class Frame:
    """The constant text around the numbers of a row.

    Attributes:
        begin: text before the probability of the winning class, for each class that may win, length K.
        before: text before the probability of each class, length K.
        end: text that ends a row.
        between: text between two rows.
    """

    begin: list[bytes]
    before: list[bytes]
    end: bytes
    between: bytes


def write(predictions: Predictions, frame: Frame) -> bytes:
    """Return the rows of an answer as text in this frame.

    The parts are interleaved column by column, which takes a quarter of the time of formatting row by row.
    """
    best, digits = predictions.best, predictions.digits
    rows, classes = len(best), len(frame.before)
    width = 2 * classes + 3
    parts = [frame.end + frame.between] * (rows * width)
    parts[0::width] = [frame.begin[k] for k in best]
    parts[1::width] = [digits[place + k] for place, k in zip(range(0, rows * classes, classes), best, strict=True)]
    for k, before in enumerate(frame.before):
        parts[2 * k + 2 :: width] = [before] * rows
        parts[2 * k + 3 :: width] = digits[k::classes]
    parts[-1] = frame.end
    return b"".join(parts)
