from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from tests.training.samples import DATA, clouds, write_csv
from training.datasets import hold_out_validation, load_splits
from training.errors import DatasetError
from training.recipe import BUILT_IN, DataSource, load_recipe


def source(**changes: Any) -> DataSource:
    fields: dict[str, Any] = {"file": "clouds.csv", "target": "cloud", "test_fraction": 0.25}
    return DataSource(**{**fields, **changes})


def test_the_test_file_is_the_test_split() -> None:
    splits = load_splits(load_recipe("cancer", BUILT_IN).data, DATA)

    assert (splits.train.x.shape, splits.test.x.shape) == ((554, 9), (15, 9))
    assert splits.train.classes == ("benign", "malignant")
    assert np.bincount(splits.test.y).tolist() == [9, 6]
    assert set(splits.sha256) == {"labeled_cancer_data.csv", "labeled_test_data.csv"}


@pytest.mark.parametrize("name", ["iris", "blobs"])
def test_the_split_is_the_tutorials(name: str) -> None:
    recipe = load_recipe(name, BUILT_IN)
    rows = [line.split(",") for line in (DATA / recipe.data.file).read_text().splitlines()[1:]]
    train, test = train_test_split(rows, test_size=0.2, random_state=42)

    splits = load_splits(recipe.data, DATA)

    for split, expected in ((splits.train, train), (splits.test, test)):
        assert split.x.tolist() == [list(map(float, row[:-1])) for row in expected]
        assert [split.classes[label] for label in split.y] == [row[-1] for row in expected]


def test_the_split_does_not_depend_on_the_training_seed() -> None:
    tutorial, default = (load_recipe(name, BUILT_IN) for name in ("iris-tutorial", "iris"))

    assert np.array_equal(load_splits(tutorial.data, DATA).test.x, load_splits(default.data, DATA).test.x)


def test_without_names_the_classes_are_the_sorted_texts(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(classes=3))

    assert load_splits(source(), tmp_path).train.classes == ("cloud 0", "cloud 1", "cloud 2")


def test_names_stand_in_the_recipes_order(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds())

    splits = load_splits(source(classes={"cloud 1": "right", "cloud 0": "left"}), tmp_path)

    assert splits.train.classes == ("right", "left")
    assert splits.train.x[splits.train.y == 0].mean() > splits.train.x[splits.train.y == 1].mean()


def test_an_unknown_class_is_named_by_row(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds())

    with pytest.raises(DatasetError, match="expected one of 'cloud 0', 'cloud 9', got 'cloud 1'") as caught:
        load_splits(source(classes={"cloud 0": "left", "cloud 9": "right"}), tmp_path)

    assert (caught.value.row, caught.value.column) == (2, "cloud")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(classes=1))

    with pytest.raises(DatasetError, match="at least two classes, got only 'cloud 0'"):
        load_splits(source(), tmp_path)


def test_too_few_rows_of_a_class_are_refused(tmp_path: Path) -> None:
    dataset = clouds(60)
    few = np.flatnonzero((dataset.y == 0) | (np.arange(60) < 8))
    write_csv(tmp_path, dataset.rows(few))

    with pytest.raises(DatasetError, match="at least 5 training rows of each class"):
        load_splits(source(), tmp_path)


def test_a_handful_of_rows_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(3))

    with pytest.raises(DatasetError, match="at least 5 rows, got 3"):
        load_splits(source(), tmp_path)


def test_a_test_fraction_that_leaves_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(20))

    with pytest.raises(DatasetError, match=r"0\.99 of 20 rows are for testing"):
        load_splits(source(test_fraction=0.99), tmp_path)


def test_a_class_that_is_a_novel_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds())
    file = tmp_path / "clouds.csv"
    file.write_text(file.read_text().replace("cloud 1", "x" * 201))

    with pytest.raises(DatasetError, match="classes of at most 200 characters"):
        load_splits(source(), tmp_path)


def test_one_constant_column_is_a_warning_and_only_constant_ones_an_error(tmp_path: Path) -> None:
    dataset = clouds()
    dataset.x[:, 1] = 7.0
    write_csv(tmp_path, dataset)

    (warning,) = load_splits(source(), tmp_path).warnings
    assert "column 'x1': constant" in warning

    dataset.x[:, 0] = 0.1
    write_csv(tmp_path, dataset)
    with pytest.raises(DatasetError, match="only constant columns"):
        load_splits(source(), tmp_path)


def test_validation_rows_are_stratified_and_disjoint() -> None:
    train = clouds(100)

    fit, validation = hold_out_validation(train, 0.2, seed=1)

    assert validation is not None
    assert np.bincount(validation.y).tolist() == [10, 10]
    assert {tuple(row) for row in fit.x.tolist()}.isdisjoint(tuple(row) for row in validation.x.tolist())
    assert len(fit) + len(validation) == 100


def test_no_validation_fraction_keeps_every_row() -> None:
    train = clouds(20)

    assert hold_out_validation(train, 0.0, seed=1) == (train, None)


def test_a_validation_split_smaller_than_the_classes_is_refused() -> None:
    with pytest.raises(DatasetError, match="a row for each of 3 classes, got 1"):
        hold_out_validation(clouds(30, classes=3), 0.01, seed=1)
