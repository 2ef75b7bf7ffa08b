from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from modelstore import EpochMetrics
from tests.training.samples import clouds, learnt, slope
from training.data.columns import Column
from training.evaluation.metrics import evaluate
from training.evaluation.plots import confusion_matrix, decision_boundary, loss_curves, predicted_values, residuals
from training.learners.protocol import predictor


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


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 9])
def test_a_confusion_matrix_is_a_picture(classes: int) -> None:
    y = np.arange(50) % classes
    names = tuple(f"a rather long name {number}" for number in range(classes))

    require_picture(confusion_matrix(evaluate(np.eye(classes)[y], y, names, "test"), "confusion"))


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 9])
def test_a_decision_boundary_is_a_picture(classes: int) -> None:
    rows = clouds(90, classes=classes)
    module = learnt(rows).module

    require_picture(decision_boundary(predictor(module), rows, ("cm", ""), "boundary"))


@pytest.mark.slow
def test_drawing_never_imports_pyplot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import fails

    require_picture(loss_curves(history(validation=True), "loss"))


HOSTILE = ("$0_$100", "$", "$\\frac{", "_hidden", "a\nb", "\N{GRINNING FACE} \N{HIRAGANA LETTER A}", "\\$", "x" * 200)


@pytest.mark.slow
def test_f6_names_are_never_taken_as_mathematics_or_left_out() -> None:
    rows = replace(clouds(160, classes=8), classes=HOSTILE, columns=(Column("cost_$_per_$_unit"), Column("$x^{")))
    y = np.arange(80) % 8

    def even(x: np.ndarray) -> np.ndarray:
        return np.full((len(x), 8), 1 / 8, dtype=np.float32)

    assert size_px(decision_boundary(even, rows, ["$", "$_$"], "$0_$100: rows"))
    assert size_px(confusion_matrix(evaluate(np.eye(8)[y], y, HOSTILE, "test"), "$a_$b"))
    assert size_px(loss_curves(history(validation=True), "$a_$b"))


@pytest.mark.parametrize("largest", [3e38, 1e-38])
def test_f6_values_at_the_ends_of_float32_can_be_drawn(largest: float) -> None:
    rows = clouds(40)
    rows.x[:] = np.linspace(-largest, largest, 80, dtype=np.float64).reshape(40, 2).astype(np.float32)

    def overflowing(x: np.ndarray) -> np.ndarray:
        assert np.isfinite(x.astype(np.float32)).all()
        return np.full((len(x), 2), np.nan, dtype=np.float32)

    assert size_px(decision_boundary(overflowing, rows, ["", ""], "large"))


@pytest.mark.slow
def test_a_confusion_matrix_of_26_classes_has_room_for_its_counts_and_one_of_100_is_soon_drawn() -> None:
    y = np.arange(26 * 60) % 26
    many = np.arange(200) % 100

    wide, high = size_px(confusion_matrix(evaluate(np.eye(26)[y], y, tuple("abcdefghijklmnopqrstuvwxyz"), "test"), ""))

    assert wide / 26 > 50  # pixels a cell, of which a digit takes 16
    assert high / 26 > 35
    names = tuple(f"c{number}" for number in range(100))
    assert size_px(confusion_matrix(evaluate(np.eye(100)[many], many, names, "test"), ""))


@pytest.mark.parametrize("draw", [predicted_values, residuals])
@pytest.mark.parametrize("scale", [0.0, 1e30])
def test_values_of_any_size_are_a_picture(draw: Callable[..., bytes], scale: float) -> None:
    rows = slope(200)
    rows.y[:] = rows.y * scale

    def answer(x: np.ndarray) -> np.ndarray:
        return np.full((len(x), 1), 1000 * scale, dtype=np.float32)

    require_picture(draw(answer, rows, "price_$ [$]", "values"))
