"""The confusion matrix in the terminal: no count is cut off, at any width."""

from __future__ import annotations

import io
import string

import numpy as np
import pytest
from rich.console import Console

from modelstore import Evaluation
from training.cli.confusion import confusion_table
from training.evaluation.metrics import evaluate


def letters(names: tuple[str, ...], rows: int = 60) -> Evaluation:
    """Return an evaluation in which all of class 3 is taken for class 4, and one row of each for its successor."""
    classes = len(names)
    y = np.arange(classes * rows) % classes
    predicted = np.where(np.arange(len(y)) < classes, (y + 1) % classes, y)
    predicted[y == 3] = 4
    return evaluate(np.eye(classes)[predicted], y, names, "test")


def shown(evaluation: Evaluation, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(confusion_table(console, evaluation), markup=False)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\u2026" not in text
    assert max(map(len, text.splitlines())) <= width
    return text


def cells(text: str, start: str) -> list[str]:
    """Return the words of the last line that begins with a name, borders removed; the first may be that of heads."""
    lines = [line.replace("│", " ").split() for line in text.splitlines()]
    return [line for line in lines if line[:1] == [start]][-1]


@pytest.mark.parametrize("width", [80, 200])
def test_26_letters_are_a_whole_matrix_even_in_80_columns(width: int) -> None:
    test = letters(tuple(string.ascii_lowercase))

    text = shown(test, width)

    nothing = "·" if width == 80 else "0"
    for name, counts in zip(string.ascii_lowercase, test.confusion, strict=True):
        assert cells(text, name) == [name, *(str(count) if count else nothing for count in counts)]


def test_classes_with_long_names_are_numbered_in_a_matrix_without_borders() -> None:
    names = tuple(f"class-of-{letter}" for letter in "abcdefghijklmno")

    text = shown(letters(names), 80)

    assert cells(text, "1")[-1] == "15"
    assert cells(text, "class-of-d") == ["class-of-d", "4", "·", "·", "·", "·", "60", *["·"] * 10]


@pytest.mark.slow
def test_too_many_classes_become_a_list_of_their_mistakes() -> None:
    text = shown(letters(tuple(f"c{number}" for number in range(60))), 80)

    assert cells(text, "c2") == ["c2", "60", "59", "c3", "(1)"]
    assert cells(text, "c3") == ["c3", "60", "0", "c4", "(60)"]


@pytest.mark.slow
def test_many_mistakes_of_a_class_are_summed_up() -> None:
    y = np.arange(60 * 60) % 60
    test = evaluate(np.eye(60)[np.arange(60 * 60) // 60], y, tuple(f"c{number}" for number in range(60)), "test")

    assert cells(shown(test, 120), "c0")[-2:] == ["others", "(54)"]
