"""Graphs that a reader can compute by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from training.artifact.onnx.graph import Graph, Value
from training.artifact.onnx.write import answers_of

NAN = float("nan")


def computed(build: Callable[[Value], Value], *rows: tuple[float, ...]) -> list[list[float]]:
    """Return what the graph answers for rows."""
    graph = Graph()
    content = graph.to_bytes(build(graph.input()), "value", len(rows[0]), 1)
    answers: list[list[float]] = answers_of(content, np.array(rows, dtype=np.float32)).tolist()
    return answers


def test_arithmetic_is_that_of_float32() -> None:
    assert computed(lambda x: (x + 1.0) * 6.0 / 4.0 - 0.5, (1,), (2,)) == [[2.5], [4]]


def test_what_is_left_of_a_negative_number_is_not_negative() -> None:
    assert computed(lambda x: x.modulo(7.0), (-1,), (0,), (7,), (13,)) == [[6], [0], [0], [6]]


def test_missing_values_become_zero() -> None:
    assert computed(Value.without_missing, (NAN,), (3,)) == [[0], [3]]


def test_columns_are_chosen_and_put_beside_others() -> None:
    assert computed(lambda x: x.columns([1]).beside(x.columns([0, 0])), (1, 2), (3, 4)) == [[2, 1, 1], [4, 3, 3]]


def test_equal_numbers_are_one_constant() -> None:
    graph = Graph()
    content = graph.to_bytes(graph.input() + 1.0 + np.array(1, dtype=np.float32), "value", 1, 1)

    assert len(onnx.load_from_string(content).graph.initializer) == 1


def test_a_node_that_the_standard_does_not_know_is_refused() -> None:
    graph = Graph()

    with pytest.raises(onnx.checker.ValidationError, match="Sinh2"):
        graph.to_bytes(graph.add("Sinh2", graph.input()), "value", 1, 1)
