"""Write the built-in data files, from scikit-learn or invented, and compare them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, make_blobs

from training.data.churn import churn_csv

CANCER_FEATURES = 9
CANCER_TEST_ROWS = 15
BLOB_ROWS = 1000


def csv_files() -> dict[str, bytes]:
    """Return the content of every file in `data/`, by file name."""
    return {
        **_cancer(),
        "iris.csv": _iris(),
        "blobs.csv": _blobs(),
        "diabetes.csv": _diabetes(),
        "digits.csv": _digits(),
        "churn.csv": churn_csv(),
    }


def write(folder: Path) -> tuple[str, ...]:
    """Write the data files and return their names.

    Raises:
        OSError: if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = csv_files()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return tuple(files)


def find_differences(folder: Path) -> tuple[str, ...]:
    """Return the names of data files that are missing or not byte-identical to the generated ones."""
    return tuple(name for name, content in csv_files().items() if _content(folder / name) != content)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _cancer() -> dict[str, bytes]:
    """Return the training and the test file; scikit-learn codes malignant as 0, the files as 1."""
    bunch = load_breast_cancer()
    header = (*map(str, bunch.feature_names[:CANCER_FEATURES]), "class")
    x, malignant = bunch.data[:, :CANCER_FEATURES], 1 - bunch.target
    first_test_row = len(x) - CANCER_TEST_ROWS
    return {
        "labeled_cancer_data.csv": _csv(header, x[:first_test_row], malignant[:first_test_row]),
        "labeled_test_data.csv": _csv(header, x[first_test_row:], malignant[first_test_row:]),
    }


def _iris() -> bytes:
    bunch = load_iris()
    return _csv((*bunch.feature_names, "species"), bunch.data, bunch.target_names[bunch.target])


def _blobs() -> bytes:
    x, blob = make_blobs(n_samples=BLOB_ROWS, centers=2, n_features=2, random_state=42, cluster_std=2.0)
    return _csv(("x0", "x1", "class"), x, [f"class_{number}" for number in blob])


def _diabetes() -> bytes:
    """Return the patients in the units of the source; scikit-learn's default is standardised."""
    bunch = load_diabetes(scaled=False)
    return _csv((*bunch.feature_names, "progression"), bunch.data, bunch.target.tolist())


def _digits() -> bytes:
    """Return the images line by line; the grey values are whole numbers."""
    bunch = load_digits()
    return _csv((*bunch.feature_names, "digit"), bunch.data.astype(np.int64), bunch.target.tolist())


def _csv(header: tuple[str, ...], x: npt.NDArray[np.float64 | np.int64], labels: Iterable[object]) -> bytes:
    """Return a CSV file whose floats have the fewest digits that read back as the same float64."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([*map(repr, row), label] for row, label in zip(x.tolist(), labels, strict=True))
    return stream.getvalue().encode()
