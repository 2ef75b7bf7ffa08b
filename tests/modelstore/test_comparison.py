"""Two versions row by row; the p-values are those of scipy's binomial test."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from scipy.stats import binomtest

from modelstore import (
    Lineage,
    ModelRepository,
    ModelVersion,
    NotComparable,
    Prediction,
    compare_versions,
    write_predictions,
)
from modelstore.comparison import MAX_EXAMPLES, MAX_ROWS, mcnemar, read_predictions
from tests.modelstore.samples import CLASSES, MODEL, sample_manifest

ONE, OTHER = CLASSES
HEADER = b"line,truth,predicted,probability\n"


def published(root: Path, predictions: bytes | None, lineage: Lineage | None = None) -> ModelVersion:
    manifest = sample_manifest(MODEL, **({"lineage": lineage} if lineage else {}))
    files = {} if predictions is None else {"test_predictions.csv": predictions}
    return ModelRepository(root).publish(manifest, MODEL, files)


def said(*rows: tuple[int, str, str]) -> bytes:
    return write_predictions((line, Prediction(truth, predicted, 0.75)) for line, truth, predicted in rows)


def test_predictions_read_back_as_they_were_written(tmp_path: Path) -> None:
    awkward = 'a "quoted", class\nof two lines'
    rows = [(2, Prediction(ONE, awkward, 0.5)), (7, Prediction(awkward, ONE, 0.123456))]
    assert read_predictions(published(tmp_path, write_predictions(rows))) == dict(rows)


@pytest.mark.parametrize("name", ["two\nlines", "a\rb", "a\r\nb", "\r", ",", '"', "-x", "=1", " a "])
def test_f7_classes_may_hold_anything_and_are_read_back(name: str) -> None:
    rows = [(2, Prediction(ONE, name, 0.5)), (7, Prediction(name, ONE, 0.25))]

    content = write_predictions(rows)
    header, *lines = csv.reader(io.StringIO(content.decode(), newline=""))

    assert header == ["line", "truth", "predicted", "probability"]
    assert lines == [["2", ONE, name, "0.5"], ["7", name, ONE, "0.25"]]
    assert content.endswith(b"0.25\n")


def test_rows_that_differ_are_counted_and_named(tmp_path: Path) -> None:
    first = published(tmp_path, said((2, ONE, ONE), (3, ONE, ONE), (4, OTHER, ONE), (5, OTHER, OTHER)))
    second = published(tmp_path, said((2, ONE, ONE), (3, ONE, OTHER), (4, OTHER, OTHER), (5, OTHER, ONE)))
    compared = compare_versions(first, second)
    assert (compared.rows, compared.agreeing, compared.disagreeing) == (4, 1, 3)
    assert (compared.only_first_right, compared.only_second_right) == (2, 1)
    assert [(row.line, row.truth, row.first, row.second) for row in compared.examples] == [
        (3, ONE, ONE, OTHER),
        (4, OTHER, ONE, OTHER),
        (5, OTHER, OTHER, ONE),
    ]
    assert compared.versions == (1, 2)
    assert compared.metrics.keys() == {"1", "2"}
    assert compared.p_value == 1.0


def test_version_agrees_with_itself(tmp_path: Path) -> None:
    version = published(tmp_path, said((2, ONE, ONE), (3, OTHER, ONE)))
    compared = compare_versions(version, version)
    assert (compared.agreeing, compared.disagreeing, compared.p_value) == (2, 0, 1.0)


def test_examples_are_bounded(tmp_path: Path) -> None:
    lines = range(2, MAX_EXAMPLES + 12)
    first, second = (published(tmp_path, said(*((n, ONE, label) for n in lines))) for label in (ONE, OTHER))
    compared = compare_versions(first, second)
    assert compared.disagreeing == len(lines)
    assert [row.line for row in compared.examples] == list(lines[:MAX_EXAMPLES])


def test_file_is_bounded() -> None:
    rows = ((n, Prediction(ONE, ONE, 1.0)) for n in range(MAX_ROWS + 5))
    assert write_predictions(rows).count(b"\n") == MAX_ROWS + 1


@pytest.mark.parametrize(
    "damaged",
    [None, b"", b"line,truth\n", HEADER + b"2,a\n", HEADER + b"x,a,b,1\n", b"\xff"],
    ids=["absent", "empty", "other columns", "short row", "no number", "no UTF-8"],
)
def test_version_without_readable_predictions_is_not_compared(tmp_path: Path, damaged: bytes | None) -> None:
    good, bad = published(tmp_path, said((2, ONE, ONE))), published(tmp_path, damaged)
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(NotComparable, match=r"version 2 has no readable test_predictions\.csv"):
            compare_versions(*pair)


def test_versions_of_other_data_or_other_rows_are_not_compared(tmp_path: Path) -> None:
    here = published(tmp_path, said((2, ONE, ONE)))
    lineage = sample_manifest().lineage.model_copy(update={"data_sha256": {"petals.csv": "0" * 64}})
    with pytest.raises(NotComparable, match="different data"):
        compare_versions(here, published(tmp_path, said((2, ONE, ONE)), lineage))
    with pytest.raises(NotComparable, match="other rows"):
        compare_versions(here, published(tmp_path, said((3, ONE, ONE))))


@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (1, 5), (5, 1), (7, 7), (3, 20), (40, 61), (900, 1100)])
def test_p_value_is_that_of_the_exact_test(counts: tuple[int, int]) -> None:
    reference = binomtest(counts[0], sum(counts), 0.5).pvalue if sum(counts) else 1.0
    assert mcnemar(*counts) == pytest.approx(reference, rel=1e-9)
