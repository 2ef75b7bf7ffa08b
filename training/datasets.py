"""Data sets and their splits, checked for what no training survives; it must not know networks or files' syntax.

N is rows, F features and K classes everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from training.errors import DatasetError
from training.recipe import DataSource
from training.scaling import constant_columns
from training.tables import MAX_LABEL_CHARACTERS, Table, read_table

MIN_ROWS_PER_CLASS = 5


@dataclass(frozen=True)
class Dataset:
    """Rows with their classes.

    Attributes:
        x: raw features, float64, shape (N, F), finite, each column in its unit.
        y: class indices, int64, shape (N,), 0 to K - 1.
        features: F names in column order.
        classes: K names in class order.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    features: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, index: npt.NDArray[np.int64]) -> Dataset:
        """Return the rows at these positions, shape (n,), in that order."""
        return replace(self, x=self.x[index], y=self.y[index])


@dataclass(frozen=True)
class Splits:
    """The training and the test split of one recipe's data.

    Attributes:
        train: rows for training, validation included.
        test: held-out rows, the same for every training seed.
        sha256: of each data file, by file name.
        warnings: sentences about data that can be trained on but should not look so.
    """

    train: Dataset
    test: Dataset
    sha256: dict[str, str]
    warnings: tuple[str, ...]


def load_splits(source: DataSource, folder: Path) -> Splits:
    """Read, check and split the data of a recipe.

    Raises:
        DatasetError: if it cannot be trained on; names file, and row and column where there is one.
    """
    table = read_table(folder, source.file, source.target)
    names = source.classes or {label: label for label in sorted(set(table.labels.tolist()))}
    whole = _dataset(table, names, source.target)
    if source.test_file is None:
        train, test = _held_out(whole, source)
        tables = [table]
    else:
        held_out = read_table(folder, source.test_file, source.target, table.features)
        train, test = whole, _dataset(held_out, names, source.target)
        tables = [table, held_out]
    warnings = _check_training_rows(train, source)
    return Splits(train, test, {part.file: part.sha256 for part in tables}, warnings)


def hold_out_validation(train: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset | None]:
    """Split training rows into those to fit on and those to stop early by, stratified by class.

    Args:
        train: the training split, N rows.
        fraction: share for validation; 0 holds back nothing.
        seed: decides which rows.

    Raises:
        DatasetError: if either part would not have a row of each class.
    """
    if fraction == 0:
        return train, None
    held_back = math.ceil(fraction * len(train))
    if held_back < len(train.classes):
        raise DatasetError(
            "validation split",
            f"expected a row for each of {len(train.classes)} classes, got {held_back}; raise validation_fraction",
        )
    fit, validation = train_test_split(np.arange(len(train)), test_size=held_back, random_state=seed, stratify=train.y)
    return train.rows(fit), train.rows(validation)


def _held_out(whole: Dataset, source: DataSource) -> tuple[Dataset, Dataset]:
    """Split as the tutorials do: shuffled by the split seed, not stratified."""
    if len(whole) < MIN_ROWS_PER_CLASS:
        raise DatasetError(source.file, f"expected at least {MIN_ROWS_PER_CLASS} rows, got {len(whole)}")
    try:
        train, test = train_test_split(
            np.arange(len(whole)), test_size=source.test_fraction, random_state=source.split_seed
        )
    except ValueError as error:
        problem = (
            f"expected rows left to train on, got none: {source.test_fraction} of {len(whole)} rows are for testing"
        )
        raise DatasetError(source.file, problem) from error
    return whole.rows(train), whole.rows(test)


def _dataset(table: Table, names: dict[str, str], target: str) -> Dataset:
    """Turn class texts into class indices."""
    _require_labels(table.file, names, target)
    positions = {raw: position for position, raw in enumerate(names)}
    y = np.array([positions.get(label, -1) for label in table.labels.tolist()], dtype=np.int64)
    if (y < 0).any():
        row = int((y < 0).argmax())
        expected = ", ".join(map(repr, names))
        raise DatasetError(
            table.file, f"expected one of {expected}, got {str(table.labels[row])!r}", row=row + 1, column=target
        )
    return Dataset(table.x, y, table.features, tuple(names.values()))


def _require_labels(file: str, names: dict[str, str], target: str) -> None:
    for name in names.values():
        if len(name) > MAX_LABEL_CHARACTERS:
            problem = f"expected classes of at most {MAX_LABEL_CHARACTERS} characters, got {name[:40]!r}..."
            raise DatasetError(file, problem, column=target)


def _check_training_rows(train: Dataset, source: DataSource) -> tuple[str, ...]:
    """Refuse what cannot be learnt from, and return warnings about the rest."""
    if len(train.classes) < 2:
        raise DatasetError(
            source.file, f"expected at least two classes, got only {train.classes[0]!r}", column=source.target
        )
    for name, rows in zip(train.classes, np.bincount(train.y, minlength=len(train.classes)), strict=True):
        if rows < MIN_ROWS_PER_CLASS:
            raise DatasetError(
                source.file,
                f"expected at least {MIN_ROWS_PER_CLASS} training rows of each class, got {rows} of {name!r}",
                column=source.target,
            )
    constant = constant_columns(train.x)
    if constant.all():
        raise DatasetError(source.file, "expected features that vary, got only constant columns")
    return tuple(
        f"{source.file}, column {name!r}: constant in the training rows, so it says nothing; leave it out"
        for name, flat in zip(train.features, constant, strict=True)
        if flat
    )
