"""The file of a version's test predictions: one line for each test row.

How the predictions were made is not known here.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TypeVar

from modelstore.errors import BrokenVersion, NotComparable
from modelstore.versions import ModelVersion

PREDICTIONS_FILE = "test_predictions.csv"
CLASS_COLUMNS = ("line", "truth", "predicted", "probability")
VALUE_COLUMNS = ("line", "truth", "predicted")
MAX_ROWS = 100_000
MAX_FILE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of a classifier for one test row.

    Attributes:
        truth: name of the row's true class.
        predicted: name of the class with the highest probability.
        probability: probability of that class, 0 to 1.
    """

    truth: str
    predicted: str
    probability: float


@dataclass(frozen=True, slots=True)
class ValuePrediction:
    """The prediction of a regressor for one test row; both values are in the unit of the target."""

    truth: float
    predicted: float


P = TypeVar("P", Prediction, ValuePrediction)


def write_predictions(predictions: Iterable[tuple[int, Prediction]]) -> bytes:
    """Return the content of `test_predictions.csv` for (line, prediction) pairs; at most 100,000 rows are kept."""
    rows = ((line, row.truth, row.predicted, f"{row.probability:.6g}") for line, row in predictions)
    return _write(CLASS_COLUMNS, rows)


def write_values(predictions: Iterable[tuple[int, ValuePrediction]]) -> bytes:
    """Return the same file for a regression; predictions have the nine digits of float32, truths those of float64."""
    rows = ((line, repr(row.truth), f"{row.predicted:.9g}") for line, row in predictions)
    return _write(VALUE_COLUMNS, rows)


def read_predictions(found: ModelVersion) -> dict[int, Prediction]:
    """Return the stored test predictions of a classifier, by line in the data file; -n is the n-th row of feedback.

    Raises:
        NotComparable: if the version has no predictions file, or it cannot be read.
    """
    return _read(
        found, CLASS_COLUMNS, lambda truth, predicted, probability: Prediction(truth, predicted, float(probability))
    )


def read_values(found: ModelVersion) -> dict[int, ValuePrediction]:
    """Return the stored test predictions of a regressor, by line; otherwise as `read_predictions`."""
    return _read(found, VALUE_COLUMNS, lambda truth, predicted: ValuePrediction(_finite(truth), _finite(predicted)))


def _write(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> bytes:
    lines: list[str] = []
    # csv quotes cells that contain a character of the line terminator, so it is CRLF here; the file itself uses LF
    writer = csv.writer(SimpleNamespace(write=lambda row: lines.append(f"{row[:-2]}\n")), lineterminator="\r\n")
    writer.writerow(header)
    for count, row in enumerate(rows):
        if count == MAX_ROWS:
            break
        writer.writerow(row)
    return "".join(lines).encode()


def _read(found: ModelVersion, expected: tuple[str, ...], convert: Callable[..., P]) -> dict[int, P]:
    try:
        text = found.attachment(PREDICTIONS_FILE, MAX_FILE_BYTES).decode()
        header, *rows = csv.reader(io.StringIO(text))
        if tuple(header) != expected or any(len(row) != len(expected) for row in rows):
            raise ValueError("other columns")
        read = {int(line): convert(*cells) for line, *cells in rows}
        if len(read) < len(rows):  # rows of feedback had the line 0 once
            raise ValueError("repeated lines")
        return read
    except (BrokenVersion, ValueError, csv.Error) as error:
        problem = f"version {found.version} has no readable {PREDICTIONS_FILE}; train it again with this release"
        raise NotComparable(found.name, problem) from error


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("not finite")
    return value
