"""The CSV writer by itself: a header, a line for each row, and what needs quotes."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np

from app.errors import MalformedBody, Problem
from app.inference.batch_predictions import BatchClassification, batch_of
from app.inference.codecs.csv_answers import CsvWriter
from app.inference.predictions import Predictions
from tests.app.tables import schema_of

CONTRACT = schema_of(("left", "right"))


def answer(probabilities: list[list[float]], classes: tuple[str, ...]) -> Predictions:
    x = np.zeros((len(probabilities), 2), dtype=np.float32)
    batch = BatchClassification(schema_of(("left", "right"), classes), x, np.array(probabilities, dtype=np.float32))
    return Predictions(batch, 0, len(x))


def test_answer_is_a_header_and_a_line_for_each_row() -> None:
    writer = CsvWriter(CONTRACT, numbered=False)

    text = writer.head() + writer.rows(answer([[0.25, 0.75], [1, 0]], ("low", "high"))) + writer.tail()

    assert text == b"label,probability,probability_low,probability_high\nhigh,0.75,0.25,0.75\nlow,1.0,1.0,0.0\n"


def test_answer_of_a_quantity_is_one_column() -> None:
    schema = replace(CONTRACT, task="regression", kind="regression", classes=())
    writer = CsvWriter(schema, numbered=False)
    batch = batch_of(schema, np.zeros((2, 2), dtype=np.float32), np.array([[0.1], [-2]], dtype=np.float32))

    assert writer.head() + writer.rows(Predictions(batch, 0, 2)) == b"value\n0.1\n-2.0\n"


def test_numbered_answer_says_line_and_error() -> None:
    writer, one = CsvWriter(CONTRACT, numbered=True), answer([[0.25, 0.75]], ("low", "high"))

    text = writer.head() + writer.numbered_row(2, one, None)
    text += writer.numbered_row(3, None, Problem(3, "left", "is, as it were, wrong")) + writer.numbered_row(
        4, None, None
    )

    assert list(csv.reader(io.StringIO(text.decode()))) == [
        ["line", "label", "probability", "probability_low", "probability_high", "error"],
        ["2", "high", "0.75", "0.25", "0.75", ""],
        ["3", "", "", "", "", "left: is, as it were, wrong"],
        ["4", "", "", "", "", ""],
    ]


def test_classes_with_commas_quotes_and_line_ends_are_quoted() -> None:
    classes = ('the "first"', "second, third", "fourth\nfifth", "naïve\r")
    writer = CsvWriter(schema_of(("left", "right"), classes), numbered=False)
    probabilities = np.eye(4, dtype=np.float32).tolist()

    records = list(csv.reader(io.StringIO((writer.head() + writer.rows(answer(probabilities, classes))).decode())))

    assert records[0][2:] == [f"probability_{label}" for label in classes]
    assert [record[0] for record in records[1:]] == list(classes)


def test_last_words_are_one_line_that_is_no_row() -> None:
    words = CsvWriter(CONTRACT, numbered=False).failure(MalformedBody("first\nsecond"))

    assert words == b"# error: first second\n"
