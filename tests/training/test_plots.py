from __future__ import annotations

import struct
import sys

import numpy as np
import pytest

from modelstore import EpochMetrics
from tests.training.samples import clouds, learnt
from training.evaluate import evaluate
from training.learners.protocol import predictor
from training.plots import confusion_matrix, decision_boundary, loss_curves


def size_px(png: bytes) -> tuple[int, int]:
    """Return width and height from a PNG's header."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def require_picture(png: bytes) -> None:
    assert size_px(png) == (768, 576)
    assert 5_000 < len(png) < 300_000


def history(*, validation: bool) -> list[EpochMetrics]:
    return [
        EpochMetrics(
            epoch=number,
            epochs=9,
            train_loss=1 / number,
            validation_loss=1.1 / number if validation else None,
            learning_rate=0.1,
            gradient_norm=1,
            elapsed_s=1,
            remaining_s=1,
        )
        for number in range(1, 10)
    ]


@pytest.mark.parametrize("validation", [True, False])
def test_loss_curves_are_a_picture(*, validation: bool) -> None:
    require_picture(loss_curves(history(validation=validation), "loss"))


@pytest.mark.parametrize("classes", [2, 9])
def test_a_confusion_matrix_is_a_picture(classes: int) -> None:
    y = np.arange(50) % classes
    names = tuple(f"a rather long name {number}" for number in range(classes))

    require_picture(confusion_matrix(evaluate(np.eye(classes)[y], y, names, "test"), "confusion"))


@pytest.mark.parametrize("classes", [2, 9])
def test_a_decision_boundary_is_a_picture(classes: int) -> None:
    rows = clouds(90, classes=classes)
    module = learnt(rows).module

    require_picture(decision_boundary(predictor(module), rows, ("cm", ""), "boundary"))


def test_drawing_never_imports_pyplot() -> None:
    loss_curves(history(validation=True), "loss")

    assert "matplotlib.pyplot" not in sys.modules
