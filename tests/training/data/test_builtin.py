from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from tests.training.samples import DATA
from training.data.builtin import csv_files, find_differences, write

README = (DATA / "README.md").read_text("utf-8")


def test_the_committed_files_are_exactly_scikit_learns() -> None:
    assert find_differences(DATA) == ()


@pytest.mark.slow
def test_a_missing_file_and_a_changed_digit_differ(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "iris.csv").unlink()
    blobs = tmp_path / "blobs.csv"
    blobs.write_bytes(blobs.read_bytes().replace(b"6.754872418883085", b"6.754872418883086"))

    assert find_differences(tmp_path) == ("iris.csv", "blobs.csv")


@pytest.mark.parametrize("name", csv_files())
def test_the_readme_states_size_and_sha256_of(name: str) -> None:
    content = (DATA / name).read_bytes()
    rows = list(csv.reader(content.decode().splitlines()))
    stated = re.search(rf"\| `{re.escape(name)}` \| (\d+) x (\d+) \| `([0-9a-f]{{64}})` \|", README)

    assert stated, f"data/README.md has no line about {name}"
    assert (int(stated[1]), int(stated[2])) == (len(rows) - 1, len(rows[0]))
    assert stated[3] == hashlib.sha256(content).hexdigest()


def test_the_readme_names_every_cancer_feature() -> None:
    header = (DATA / "labeled_cancer_data.csv").read_text().splitlines()[0].split(",")

    assert all(f"| `{name}` |" in README for name in header[:-1])


def test_malignant_is_one_and_the_numbers_read_back_exactly() -> None:
    bunch = load_breast_cancer()
    rows = [
        row
        for name in ("labeled_cancer_data.csv", "labeled_test_data.csv")
        for row in csv.reader((DATA / name).read_text().splitlines()[1:])
    ]

    assert np.array_equal(np.array(rows, dtype=float)[:, :9], bunch.data[:, :9])
    assert np.array_equal(np.array([int(row[9]) for row in rows]) == 1, bunch.target_names[bunch.target] == "malignant")


def test_diabetes_is_in_the_units_of_its_source() -> None:
    bunch = load_diabetes(scaled=False)
    header, *rows = csv.reader((DATA / "diabetes.csv").read_text().splitlines())

    assert header == [*bunch.feature_names, "progression"]
    assert all(f"| `{name}` |" in README for name in header[:-1])
    assert np.array_equal(np.array(rows, dtype=float), np.column_stack([bunch.data, bunch.target]))
