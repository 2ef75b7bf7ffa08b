from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from modelstore import Split, Target
from tests.training.samples import DATA, clouds, settings, write_csv
from training.config.recipe import BUILT_IN, DataSource, load_recipe
from training.data.dataset import Dataset
from training.data.holdout import Purpose, Shuffled, Sides
from training.data.splits import hold_out_validation, load_splits
from training.errors import DatasetError
from training.learners.folds import folds_of


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
        assert split.x.tolist() == np.array([row[:-1] for row in expected], dtype=np.float32).tolist()
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


def test_an_unknown_class_is_named_by_line(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds())

    with pytest.raises(DatasetError, match="expected one of 'cloud 0', 'cloud 9', got 'cloud 1'") as caught:
        load_splits(source(classes={"cloud 0": "left", "cloud 9": "right"}), tmp_path)

    assert (caught.value.line, caught.value.column) == (3, "cloud")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(classes=1))

    with pytest.raises(DatasetError, match="at least two classes, got only 'cloud 0'"):
        load_splits(source(), tmp_path)


def test_classes_with_few_rows_are_left_out_and_named_and_do_not_count_as_classes(tmp_path: Path) -> None:
    dataset = clouds(60)
    few = np.flatnonzero((dataset.y == 0) | (np.arange(60) < 8))
    write_csv(tmp_path, dataset.rows(few))

    with pytest.raises(
        DatasetError, match=r"got only 'cloud 0'; those with fewer than 5 rows do not count: 'cloud 1' \(4\)"
    ):
        load_splits(source(), tmp_path)


def test_a_handful_of_rows_is_refused(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(3))

    with pytest.raises(DatasetError, match="at least 5 rows, got 3"):
        load_splits(source(), tmp_path)


def test_a_regression_of_few_known_targets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clouds.csv").write_text("x,y\n1,1\n2,2\n3,\n4,\n5,\n6,\n", "utf-8")

    with pytest.raises(DatasetError, match="column 'y': expected at least 5 rows with a target, got 2"):
        load_splits(source(target="y", task="regression"), tmp_path)


def test_training_rows_that_are_all_the_same_are_refused(tmp_path: Path) -> None:
    later = "".join(f"2024,{row},{row}\n" for row in range(9))
    (tmp_path / "clouds.csv").write_text(f"year,x,y\n2023,1,1\n{later}", "utf-8")

    with pytest.raises(DatasetError, match="training rows that differ, got 1 that are all the same"):
        load_splits(source(target="y", task="regression", split=Split(time="year")), tmp_path)


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


def test_one_constant_column_is_left_out_and_only_constant_ones_are_an_error(tmp_path: Path) -> None:
    dataset = clouds(spread=3.0)
    dataset.x[:, 1] = 7.0
    write_csv(tmp_path, dataset)

    (column,) = load_splits(source(), tmp_path).left_out
    assert (column.name, column.reason) == ("x1", "constant")

    dataset.x[:, 0] = 0.1
    write_csv(tmp_path, dataset)
    with pytest.raises(DatasetError, match="expected at least one column to learn from"):
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


def test_a_validation_split_has_at_least_as_many_rows_as_classes() -> None:
    _, validation = hold_out_validation(clouds(30, classes=3), 0.01, seed=1)

    assert validation is not None
    assert len(validation) == 3


def test_validation_rows_are_the_same_whether_they_were_arranged_at_reading_or_not(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(classes=3))
    chosen = settings(validation_fraction=0.2, seed=3)

    arranged = load_splits(source(), tmp_path, chosen).hold_out(0.2, 3)
    copied = load_splits(source(), tmp_path).hold_out(0.2, 3)

    for ours, theirs in zip(arranged, copied, strict=True):
        assert ours is not None
        assert theirs is not None
        assert ours.lines.tolist() == theirs.lines.tolist()
        assert np.array_equal(ours.x, theirs.x)
        assert np.array_equal(ours.y, theirs.y)


def test_a_stratified_split_has_the_same_shares_on_both_sides_and_every_row_once(tmp_path: Path) -> None:
    dataset = clouds(100)
    rare = np.flatnonzero((dataset.y == 0) | (np.arange(100) % 10 == 1))  # 50 rows of one class, 10 of the other
    write_csv(tmp_path, dataset.rows(rare))

    splits = load_splits(source(stratify=True, test_fraction=0.2), tmp_path)

    assert np.bincount(splits.train.y).tolist() == [40, 8]
    assert np.bincount(splits.test.y).tolist() == [10, 2]
    lines = np.concatenate([splits.train.lines, splits.test.lines])
    assert sorted(lines.tolist()) == list(range(2, 62))
    x = np.concatenate([splits.train.x, splits.test.x])
    assert np.array_equal(x[lines.argsort()], dataset.x[rare])


def test_both_splits_lie_in_the_memory_of_one_table(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds())

    splits = load_splits(source(stratify=True), tmp_path)

    assert splits.train.x.base is not None
    assert splits.train.x.base is splits.test.x.base


def test_reordering_a_few_columns_at_a_time_gives_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(tmp_path, clouds(features=5))
    whole = load_splits(source(), tmp_path)

    monkeypatch.setattr("training.data.dataset.SPARE_BYTES", 1)

    assert np.array_equal(load_splits(source(), tmp_path).train.x, whole.train.x)


def test_numbers_as_classes_keep_their_text_and_stand_in_numerical_order(tmp_path: Path) -> None:
    write_csv(tmp_path, replace(clouds(classes=3), classes=("10", "9.50", "-1.0")))

    assert load_splits(source(), tmp_path).train.classes == ("-1.0", "9.50", "10")


def test_only_the_listed_features_are_used_in_their_order(tmp_path: Path) -> None:
    dataset = clouds(features=4)
    write_csv(tmp_path, dataset)

    splits = load_splits(source(features=("x3", "x1")), tmp_path)

    assert splits.train.features == ("x3", "x1")
    assert splits.train.x[0].tolist() == dataset.x[splits.train.lines[0] - 2, [3, 1]].tolist()


def test_repeated_rows_are_counted_also_across_the_split(tmp_path: Path) -> None:
    dataset = clouds(spread=3.0)
    write_csv(tmp_path, dataset.rows(np.concatenate([np.arange(60), np.zeros(30, dtype=np.int64)])))

    splits = load_splits(source(), tmp_path)

    again = sum(bool((row == dataset.x[0]).all()) for row in splits.test.x)
    assert f"30 of 90 rows repeat another one; {again} of {len(splits.test)} test rows" in splits.warnings[-1]


def test_a_column_equal_to_the_class_is_a_suspected_leak(tmp_path: Path) -> None:
    dataset = clouds(classes=3, spread=4.0)
    dataset.x[:, 1] = np.array([7.0, -7.0, 0.0])[dataset.y]
    write_csv(tmp_path, dataset)

    (warning,) = load_splits(source(), tmp_path).warnings

    assert "column 'x1': leakage_suspect" in warning


@pytest.mark.slow
def test_a_large_table_is_in_memory_once_while_it_is_read_and_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.dataset.SPARE_BYTES", 1 << 22)
    dataset = clouds(10_000, features=20)
    path = write_csv(tmp_path, dataset)
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *rows * 40]))
    features_bytes = 400_000 * 20 * 4

    tracemalloc.start()
    try:
        splits = load_splits(source(stratify=True), tmp_path, settings(validation_fraction=0.1))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(splits.train) + len(splits.test) == 400_000
    assert peak_bytes < features_bytes + 400_000 * 48 + 16e6  # classes, lines, marks, order of the split; one block


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(60))
    file = tmp_path / "clouds.csv"
    file.write_text(file.read_text().replace("cloud 1\n", "\n", 2))

    splits = load_splits(source(), tmp_path)

    assert len(splits.train) + len(splits.test) == 58
    assert splits.target == Target(name="cloud", missing=2)
    assert "clouds.csv, column 'cloud': 2 of 60 rows have no target and are left out" in splits.warnings


def sides(folder: Path, rows: Dataset, **changes: Any) -> tuple[set[bytes], set[bytes], set[bytes]]:
    """Return the rows to fit on, for validation and for testing, each row as its bytes."""
    write_csv(folder, rows)
    found = load_splits(source(assign="hash", **changes), folder, settings(validation_fraction=0.2))
    fit, validation = found.hold_out(0.2, 0)
    assert validation is not None
    return tuple({row.tobytes() for row in part.x} for part in (fit, validation, found.test))  # type: ignore[return-value]


def test_a_row_keeps_its_side_when_the_file_grows_is_shuffled_or_loses_rows(tmp_path: Path) -> None:
    rows = clouds(400)
    order = np.random.default_rng(1).permutation(400)

    before = sides(tmp_path, rows.rows(np.arange(250)))
    shuffled = sides(tmp_path, rows.rows(order[order < 250]))
    grown = sides(tmp_path, rows.rows(order))
    shrunk = sides(tmp_path, rows.rows(np.arange(100)))

    assert all(before)
    assert shuffled == before
    for small, large in ((before, grown), (shrunk, before)):
        assert all(few <= many for few, many in zip(small, large, strict=True))


def test_shares_of_a_hash_split_are_about_those_wanted(tmp_path: Path) -> None:
    fit, validation, test = sides(tmp_path, clouds(2000), test_fraction=0.25)

    assert len(test) == pytest.approx(500, abs=80)  # four standard deviations
    assert len(validation) == pytest.approx(300, abs=70)
    assert len(fit) + len(validation) + len(test) == 2000


def test_a_class_that_chance_leaves_without_test_rows_is_named(tmp_path: Path) -> None:
    rows = clouds(105)
    few = np.flatnonzero((rows.y == 0) | (np.arange(105) < 10))
    write_csv(tmp_path, rows.rows(few))

    warnings = load_splits(source(assign="hash", test_fraction=0.02), tmp_path).warnings

    assert "clouds.csv, column 'cloud': class 'cloud 1' has no test row, so it is not measured" in warnings


def test_the_latest_rows_test_and_rows_of_one_time_stay_together(tmp_path: Path) -> None:
    rows = clouds(200, features=2)
    rows.x[:, 0] = np.random.default_rng(0).permutation(200) // 4  # fifty days of four rows
    write_csv(tmp_path, rows)

    splits = load_splits(source(split=Split(time="x0"), test_fraction=0.25), tmp_path)

    assert sorted(set(splits.test.x[:, 0])) == list(range(37, 50))
    assert splits.train.x[:, 0].max() == 36


def test_test_rows_of_new_classes_alone_are_refused(tmp_path: Path) -> None:
    rows = [f"{row}.5,{row * row % 11},{'ab'[row % 2] if row < 15 else 'c'}\n" for row in range(20)]
    (tmp_path / "clouds.csv").write_text("day,x,cloud\n" + "".join(rows))

    with pytest.raises(DatasetError, match="expected test rows of the classes with training rows, got none"):
        load_splits(source(split=Split(time="day")), tmp_path)


def test_a_group_is_on_one_side_only_and_keeps_it(tmp_path: Path) -> None:
    rows = clouds(300, features=2)
    rows.x[:, 0] = np.arange(300) % 30
    write_csv(tmp_path, rows)
    grouped = source(split=Split(group="x0"))

    splits = load_splits(grouped, tmp_path)
    test = set(splits.test.x[:, 0])

    assert test
    assert not test & set(splits.train.x[:, 0])
    write_csv(tmp_path, rows.rows(np.arange(150)))
    assert set(load_splits(grouped, tmp_path).test.x[:, 0]) == test


def test_texts_of_few_rows_are_groups_of_their_own_after_categories_are_fitted(tmp_path: Path) -> None:
    """Texts of fewer than 5 training rows, and those beyond the first 255, share one code."""
    patients = [f"p{row // 4:03}" for row in range(1200)]
    rows = zip(patients, np.random.default_rng(0).random(1200).tolist(), strict=True)
    lines = [f"{patient},{value},{'ab'[row % 2]}" for row, (patient, value) in enumerate(rows)]
    (tmp_path / "clouds.csv").write_text("\n".join(["patient,x,cloud", *lines, ""]))

    splits = load_splits(source(split=Split(group="patient"), assign="hash"), tmp_path)
    folds = folds_of(splits.train, seed=0)

    assert len(splits.train) + len(splits.test) == 1200
    assert [len(fold) for fold in folds] == pytest.approx([len(splits.train) / 5] * 5, abs=4)
    fit, validation = splits.hold_out(0.2, 0)
    assert validation is not None
    assert len(validation) == pytest.approx(0.2 * len(splits.train), abs=0.1 * len(splits.train))
    sides = [splits.train.rows(fold) for fold in folds], [fit, validation]
    for parts in sides:
        people = [{patients[line - 2] for line in part.lines.tolist()} for part in parts]
        assert sum(map(len, people)) == len(set.union(*people)) == len(splits.train) // 4


def test_training_rows_of_one_year_are_fitted_to_and_validate_which_is_said(tmp_path: Path) -> None:
    rows = clouds(200)
    rows.x[:, 0] = 2022 + (np.arange(200) >= 100)
    write_csv(tmp_path, rows)

    splits = load_splits(source(split=Split(time="x0"), test_fraction=0.2), tmp_path, settings(validation_fraction=0.2))
    copied = hold_out_validation(splits.train, 0.2, 0, splits.way)

    for fit, validation in (splits.hold_out(0.2, 0), copied):
        assert validation is not None
        assert (len(fit), len(validation), len(splits.test)) == (80, 20, 100)
    assert "clouds.csv, column 'x0': most training rows have the latest time, or none" in splits.warnings[-1]


def test_test_rows_of_a_year_that_is_most_of_the_file_are_said(tmp_path: Path) -> None:
    rows = clouds(200)
    rows.x[:, 0] = 2020 + (np.arange(200) >= 20) + (np.arange(200) >= 40)
    write_csv(tmp_path, rows)

    splits = load_splits(source(split=Split(time="x0"), test_fraction=0.2), tmp_path)

    assert "clouds.csv, column 'x0': 160 rows are for testing, not 20%, and 40 to learn from" in splits.warnings[-1]


def test_folds_of_one_country_are_of_its_rows_which_is_said(tmp_path: Path) -> None:
    lines = [f"{['Chile', 'Peru'][row % 2]},{row * row % 97},{'ab'[row // 2 % 2]}" for row in range(200)]
    (tmp_path / "clouds.csv").write_text("\n".join(["country,x,cloud", *lines, ""]))

    splits = load_splits(source(split=Split(group="country")), tmp_path)

    assert sorted(np.concatenate(folds_of(splits.train, seed=0)).tolist()) == list(range(100))
    assert "clouds.csv, column 'country': all training rows are of one group" in splits.warnings[-1]


def test_calibration_rows_of_a_group_are_not_much_more_than_wanted(tmp_path: Path) -> None:
    rows = clouds(6000)
    for groups, kept in ((3, False), (60, True)):
        rows.x[:, 0] = np.arange(6000) // 2 % groups
        write_csv(tmp_path, rows)
        splits = load_splits(source(split=Split(group="x0")), tmp_path, calibrate=True)
        assert (splits.calibration is not None) == kept


def test_a_split_by_an_unknown_column_is_refused_by_name(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds())

    with pytest.raises(DatasetError, match="column 'day': split expects a column that is used, one of 'x0'"):
        load_splits(source(split=Split(time="day")), tmp_path)


def test_a_tenth_of_many_training_rows_is_kept_for_prediction_sets_only(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(2700))
    whole, kept = (
        load_splits(source(assign="hash"), tmp_path, settings(validation_fraction=0.2), calibrate=calibrate)
        for calibrate in (False, True)
    )

    assert (whole.calibration, kept.test.lines.tolist()) == (None, whole.test.lines.tolist())
    assert kept.calibration is not None
    assert len(kept.calibration) == pytest.approx(len(whole.train) / 10, abs=60)
    fit, validation = kept.hold_out(0.2, 0)
    assert validation is not None
    parts = [part.lines for part in (fit, validation, kept.calibration)]
    assert np.sort(np.concatenate(parts)).tolist() == np.sort(whole.train.lines).tolist()
    again = dict(zip(whole.train.lines.tolist(), whole.train.x.tolist(), strict=True))
    assert kept.calibration.x.tolist() == [again[line] for line in kept.calibration.lines.tolist()]


def test_few_training_rows_are_all_learnt_from(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(2500))

    assert load_splits(source(test_fraction=0.25), tmp_path, settings(), calibrate=True).calibration is None


class AllOfTheLastClass(Shuffled):
    """Keeps every row of the last class, and a hundred of the first, for calibration."""

    def hold_out(self, rows: Dataset, fraction: float, purpose: Purpose, seed: int = 0) -> Sides:
        if purpose != "calibration":
            return super().hold_out(rows, fraction, purpose, seed)
        kept = np.concatenate([np.flatnonzero(rows.y == 0)[:100], np.flatnonzero(rows.y == 2)])
        return np.setdiff1d(np.arange(len(rows)), kept), kept


def test_a_class_that_would_have_calibration_rows_only_is_learnt(tmp_path: Path) -> None:
    write_csv(tmp_path, clouds(3000, classes=3))

    splits = load_splits(source(), tmp_path, settings(), way=AllOfTheLastClass(), calibrate=True)

    assert splits.calibration is not None
    assert set(splits.calibration.y.tolist()) == {0}
    assert set(splits.train.y.tolist()) == {0, 1, 2}
    assert len(splits.calibration) == 100


@pytest.mark.parametrize("rows", ["plain", "grouped", "large"])
def test_groups_whose_numbers_are_equal_in_float32_are_groups_of_their_own(rows: str, tmp_path: Path) -> None:
    """So are whole numbers beyond float64, and numbers with separators; a row without a number is of none of them."""
    first = {"plain": 1_700_000_000, "grouped": 1_700_000_000, "large": 2**62}[rows]
    ids = [first + row // 4 * (100 if rows == "large" else 1) for row in range(400)]
    texts = [f'"{one:,}"' if rows == "grouped" else str(one) for one in ids]
    texts[-4:] = [texts[-1] if rows == "large" else ""] * 4
    lines = [f"{text},{row * row % 97},{'ab'[row % 2]}" for row, text in enumerate(texts)]
    (tmp_path / "clouds.csv").write_text("\n".join(["customer,x,cloud", *lines, ""]))

    splits = load_splits(source(split=Split(group="customer")), tmp_path)

    parts = (splits.train, splits.test)
    groups = [{texts[line - 2] for line in part.lines.tolist()} for part in parts]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 100
    assert len(groups[1]) == pytest.approx(25, abs=12)
    assert [len(np.unique(part.together)) for part in parts] == list(map(len, groups))


def test_a_group_with_rows_of_a_class_that_is_learnt_for_that_is_learnt_as_a_whole(tmp_path: Path) -> None:
    rows = clouds(3000)
    rows.x[:, 0] = np.arange(3000) // 10
    write_csv(tmp_path, replace(rows, classes=("a", "b", "c")))
    lines = (tmp_path / "clouds.csv").read_text().splitlines()
    grouped = source(split=Split(group="x0"))
    before = load_splits(grouped, tmp_path, settings(), calibrate=True)
    assert before.calibration is not None
    group = before.calibration.x[0, 0]
    here = [at for at, line in enumerate(lines) if line.startswith(f"{group},")]
    for at in here[:5]:
        lines[at] = f"{lines[at].rpartition(',')[0]},c"
    (tmp_path / "clouds.csv").write_text("\n".join([*lines, ""]))

    splits = load_splits(grouped, tmp_path, settings(), calibrate=True)

    assert splits.calibration is not None
    assert splits.train.classes == ("a", "b", "c")
    assert group not in splits.calibration.x[:, 0]
    assert not set(splits.train.x[:, 0]) & set(splits.calibration.x[:, 0])
