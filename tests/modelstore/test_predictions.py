from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from modelstore import (
    ModelRepository,
    ModelVersion,
    NotComparable,
    Prediction,
    ValuePrediction,
    write_predictions,
    write_values,
)
from modelstore.predictions import MAX_ROWS, read_predictions, read_values
from tests.modelstore.samples import CLASSES, MODEL, sample_manifest

ONE = CLASSES[0]
HEADER = b"line,truth,predicted,probability\n"
VALUES = b"line,truth,predicted\n"


def published(root: Path, predictions: bytes | None) -> ModelVersion:
    files = {} if predictions is None else {"test_predictions.csv": predictions}
    return ModelRepository(root).publish(sample_manifest(MODEL), MODEL, files)


def test_predictions_read_back_as_they_were_written(tmp_path: Path) -> None:
    awkward = 'a "quoted", class\nof two lines'
    rows = [(2, Prediction(ONE, awkward, 0.5)), (7, Prediction(awkward, ONE, 0.123456))]
    assert read_predictions(published(tmp_path, write_predictions(rows))) == dict(rows)


def test_values_read_back_with_all_their_digits(tmp_path: Path) -> None:
    as_float32 = 0.10000000149011612  # the float32 nearest to 0.1
    rows = [(2, ValuePrediction(0.1, as_float32)), (7, ValuePrediction(-1e300, 16777215.0))]

    content = write_values(rows)

    assert content == VALUES + b"2,0.1,0.100000001\n7,-1e+300,16777215\n"
    assert read_values(published(tmp_path, content))[7] == rows[1][1]


@pytest.mark.parametrize("name", ["two\nlines", "a\rb", "a\r\nb", "\r", ",", '"', "-x", "=1", " a "])
def test_f7_classes_may_hold_anything_and_are_read_back(name: str) -> None:
    rows = [(2, Prediction(ONE, name, 0.5)), (7, Prediction(name, ONE, 0.25))]

    content = write_predictions(rows)
    header, *lines = csv.reader(io.StringIO(content.decode(), newline=""))

    assert header == ["line", "truth", "predicted", "probability"]
    assert lines == [["2", ONE, name, "0.5"], ["7", name, ONE, "0.25"]]
    assert content.endswith(b"0.25\n")


def test_file_is_bounded() -> None:
    rows = ((n, Prediction(ONE, ONE, 1.0)) for n in range(MAX_ROWS + 5))
    assert write_predictions(rows).count(b"\n") == MAX_ROWS + 1


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        b"",
        b"line,truth\n",
        HEADER + b"2,a\n",
        HEADER + b"x,a,b,1\n",
        b"\xff",
        VALUES + b"2,1,1\n",
        HEADER + b"0,a,b,1\n" * 2,
    ],
    ids=["absent", "empty", "other columns", "short row", "no number", "no UTF-8", "of a regression", "repeated"],
)
def test_version_without_readable_predictions_is_refused(tmp_path: Path, damaged: bytes | None) -> None:
    with pytest.raises(NotComparable, match=r"version 1 has no readable test_predictions\.csv"):
        read_predictions(published(tmp_path, damaged))


@pytest.mark.parametrize("damaged", [HEADER + b"2,a,a,1\n", VALUES + b"2,a,1\n", VALUES + b"2,1,nan\n"], ids=str)
def test_version_without_readable_values_is_refused(tmp_path: Path, damaged: bytes) -> None:
    with pytest.raises(NotComparable, match="no readable"):
        read_values(published(tmp_path, damaged))
