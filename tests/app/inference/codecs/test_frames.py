"""Rows of an answer as text: every cell in its frame, whichever parts of it are empty."""

from __future__ import annotations

import numpy as np
import pytest

from app.inference.batch_predictions import BatchClassification
from app.inference.codecs.frames import Frame, write
from app.inference.predictions import Predictions
from tests.app.tables import schema_of

OUTPUTS = np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]], np.float32)


def predictions(start: int, stop: int) -> Predictions:
    return Predictions(BatchClassification(schema_of(("left",)), np.zeros((3, 1), np.float32), OUTPUTS), start, stop)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame([b"low", b"high"], [b"", b",", b",", b","], b"", b"\n"), b"high,0.75,0.25,0.75\nlow,1.0,1.0,0.0"),
        (Frame([b"<l", b"<h"], [b"", b"", b"(", b"|"], b")>", b""), b"<h0.75(0.25|0.75)><l1.0(1.0|0.0)>"),
        (Frame([b"l ", b"h "], [b"[", b"", b";", b""], b"]", b", "), b"[h 0.75;0.250.75], [l 1.0;1.00.0]"),
    ],
    ids=["csv", "brackets", "before the first"],
)
def test_every_cell_stands_in_its_frame(frame: Frame, text: bytes) -> None:
    assert write(predictions(0, 2), frame) == text


def test_rows_of_two_parts_are_those_of_the_whole() -> None:
    frame = Frame([b"low", b"high"], [b"", b",", b",", b","], b";", b"\n")

    assert write(predictions(0, 1), frame) + b"\n" + write(predictions(1, 3), frame) == write(predictions(0, 3), frame)
