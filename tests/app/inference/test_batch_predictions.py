"""The most probable class: what argmax says, however it is found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.inference.batch_predictions import BatchClassification, BatchRegression
from app.schema import Float32
from app.telemetry.counts_by_version import CountsByVersion
from app.telemetry.version_counters import OUTSIDE, PREDICTED
from tests.app.tables import schema_of


def batch_of(probabilities: Float32) -> BatchClassification:
    rows, classes = probabilities.shape
    return BatchClassification(
        schema_of(("x",), [str(k) for k in range(classes)]), np.zeros((rows, 1), np.float32), probabilities
    )


def with_ties(rows: int, classes: int) -> Float32:
    """Return probabilities of few different values, so that many are equal."""
    return np.random.default_rng(rows).choice(np.array([0, 0.25, 0.5], np.float32), (rows, classes))


@pytest.mark.parametrize("classes", [2, 3, 8, 9, 200])
@pytest.mark.parametrize("rows", [1, 1023, 1024, 5000])
def test_winner_is_the_lowest_of_the_most_probable_classes(rows: int, classes: int) -> None:
    probabilities = with_ties(rows, classes)

    batch = batch_of(probabilities)

    assert batch.winners.tolist() == batch.best == probabilities.argmax(axis=1).tolist()
    assert batch.winning.tolist() == probabilities.max(axis=1).tolist()


def test_the_only_output_is_the_answer_of_a_quantity() -> None:
    schema = replace(schema_of(("x",), ()), task="regression", kind="regression")

    batch = BatchRegression(schema, np.zeros((3, 1), np.float32), np.array([[7], [np.nan], [-1]], np.float32))

    assert batch.winners.tolist() == [0, 0, 0]


@pytest.mark.parametrize("rows", [4, 4000])
def test_row_that_is_not_finite_has_the_winner_that_argmax_says_and_leaves_others_theirs(rows: int) -> None:
    probabilities = with_ties(rows, 3)
    probabilities[1] = [0.25, np.nan, 0.5]
    probabilities[2] = [-np.inf, -np.inf, np.inf]

    assert batch_of(probabilities).best == probabilities.argmax(axis=1).tolist()


@pytest.mark.parametrize("classes", [3, 9])
@pytest.mark.parametrize("rows", [4, 5, 4096])
def test_rows_are_counted_by_class_without_those_that_overflowed(rows: int, classes: int) -> None:
    probabilities = with_ties(rows, classes)
    expected = np.bincount(probabilities[1:].argmax(axis=1), minlength=classes)
    overflowed = probabilities.copy()
    overflowed[0] = np.nan
    finite = expected + np.bincount([probabilities[0].argmax()], minlength=classes)

    assert counted(overflowed) == expected.tolist()
    assert counted(probabilities) == finite.tolist()


def counted(probabilities: Float32) -> list[float]:
    """Return the counts by class of a batch."""
    labels = [str(k) for k in range(probabilities.shape[1])]
    statistics = CountsByVersion()
    batch_of(probabilities).count(statistics.version("means", 1, labels))
    figures = statistics.figures[PREDICTED]
    return [figures["means", "1", label][0] for label in labels]


def test_rows_with_a_warning_are_counted_once_each() -> None:
    counted = CountsByVersion()
    x = np.array([[0.5, 0.5], [9, 9], [np.nan, 0.5], [1, 0]], np.float32)
    schema = schema_of(("x", "y"), ["a", "b"])

    BatchClassification(schema, x, np.full((4, 2), 0.5, np.float32)).count(counted.version("means", 1, ("a", "b")))

    assert counted.figures[OUTSIDE] == {("means", "1"): [2]}


JUST_ABOVE = np.nextafter(np.float32(1), np.float32(2))
CELLS = {
    "at the limits": [0, 1],
    "below": [0.5, -1e-45],
    "above": [JUST_ABOVE, 0.5],
    "missing": [0.5, np.nan],
    "infinite": [np.inf, 0.5],
}


@pytest.mark.parametrize("cells", CELLS.values(), ids=CELLS.keys())
def test_a_row_alone_has_the_unusual_cells_that_it_has_among_others(cells: list[float]) -> None:
    among = np.array([cells, *[[0.5, -1]] * 40], np.float32)
    schema, answers = schema_of(("x", "y")), np.full((41, 2), 0.5, np.float32)

    alone = BatchClassification(schema, among[:1], answers[:1]).unusual

    together = BatchClassification(schema, among, answers).unusual
    assert together is not None
    assert (np.zeros((1, 2), bool) if alone is None else alone).tolist() == together[:1].tolist()
    assert (alone is None) == (not together[0].any())


OUTPUTS = {
    "a tie": [0.25, 0.5, 0.5],
    "not a number": [0.5, np.nan, 0.75],
    "infinite": [np.inf, 0.5, 0],
    "infinite both ways": [0.5, np.inf, -np.inf],
    "as large as float32": [3.4e38, 3.4e38, 3.4e38],
}


@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_a_row_alone_has_the_winner_that_it_has_among_others_and_is_finite_if_all_its_outputs_are(
    outputs: list[float],
) -> None:
    together = np.array([outputs, *[[1, 0, 0]] * 40], np.float32)

    alone = batch_of(together[:1])

    assert alone.best == batch_of(together).best[:1]
    assert alone.finite == batch_of(together).finite == bool(np.isfinite(outputs).all())
