"""Load a recipe's data set, check it, and split it.

It must not know networks or the syntax of files. N is rows, F features and K classes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from modelstore import DatasetFault, LeftOut, Target, Task
from modelstore.datasets import MAX_CLASSES
from training.config.recipe import DataSource, TrainingSettings
from training.data.cells import alike, in_class_order
from training.data.columns import Column
from training.data.faults import MAX_FAULTS
from training.data.quality import leaking_columns
from training.data.repeats import Marks, count_duplicates, mix, text_bits
from training.data.table import MAX_LABEL_CHARACTERS, Table, read_table
from training.errors import DatasetError
from training.preprocessing.scaler import constant_columns

MIN_ROWS_PER_CLASS = 5
SPARE_BYTES = 64 << 20

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """Rows with their classes or values.

    Attributes:
        x: cells, float32, shape (N, W); NaN is missing.
        y: class indices, int64, shape (N,), 0 to K - 1; of a regression the values, float64, shape (N,).
        columns: F feature columns in the order of their cells.
        classes: K names in class order; empty for a regression.
        lines: line of each row in its data file, the header being line 1, shape (N,).
        marks: 64-bit mark of each row, equal for rows with equal values in the file, shape (N,).
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[Any]
    columns: tuple[Column, ...]
    classes: tuple[str, ...]
    lines: npt.NDArray[np.int64]
    marks: Marks

    def __len__(self) -> int:
        return len(self.y)

    @property
    def features(self) -> tuple[str, ...]:
        """Return the names of the feature columns, length F."""
        return tuple(column.name for column in self.columns)

    @property
    def task(self) -> Task:
        """Return what is learnt."""
        return "classification" if self.classes else "regression"

    def rows(self, index: npt.NDArray[np.int64] | slice) -> Dataset:
        """Return the rows at the given positions, shape (n,), in that order; a slice shares this data set's memory."""
        return replace(self, x=self.x[index], y=self.y[index], lines=self.lines[index], marks=self.marks[index])


@dataclass(frozen=True)
class Splits:
    """The training and the test split of one recipe's data.

    Attributes:
        train: rows for training, including the validation rows.
        test: held-out rows, the same for every training seed.
        sha256: SHA-256 of each data file, by file name.
        warnings: sentences about suspicious data that does not prevent training.
        target: the column that is predicted, for the manifest.
        left_out: columns of the file that are not used, each with the reason.
        arranged: fraction and seed of the validation rows placed at the end of `train`, if there are any.
    """

    train: Dataset
    test: Dataset
    sha256: dict[str, str]
    warnings: tuple[str, ...]
    target: Target
    left_out: tuple[LeftOut, ...] = ()
    arranged: tuple[float, int] | None = None

    def hold_out(self, fraction: float, seed: int) -> tuple[Dataset, Dataset | None]:
        """Return `hold_out_validation` of the training split, without copying if the rows are already arranged so."""
        if (fraction, seed) != self.arranged:
            return hold_out_validation(self.train, fraction, seed)
        held_back = int(_shares(self.train.y, fraction).sum())
        fitted = len(self.train) - held_back
        return self.train.rows(slice(fitted)), self.train.rows(slice(fitted, None))


def load_splits(source: DataSource, folder: Path, settings: TrainingSettings | None = None) -> Splits:
    """Read, check and split the data of a recipe; splits of one file share the memory of its table.

    Args:
        source: the data source of the recipe.
        folder: the data folder.
        settings: training settings; if given, the validation rows are arranged so that they need no extra memory.

    Raises:
        DatasetError: if the data cannot be trained on; names the file and, if known, line and column.
    """
    read = partial(read_table, folder, target=source.target, options=source)
    table = read(source.file, features=source.features)
    most = max(MAX_CLASSES, len(source.classes))
    if len(table.target.values) > most:
        problem = (
            f"expected at most {most} classes, got more, such as {table.target.values[-1]!r:.40}; is this a quantity?"
        )
        raise DatasetError(source.file, problem, column=source.target)
    names = source.classes or {value: value for value in in_class_order(table.target.values)}
    whole = _dataset(table, names, source.target)
    sha256, warnings = {table.file: table.sha256}, table.warnings
    if source.test_file is None:
        train, test = _split(whole, source)
    else:
        held_out = read(source.test_file, columns=table.columns)
        warnings += held_out.warnings
        sha256[held_out.file] = held_out.sha256
        train, test = whole, _dataset(held_out, names, source.target)
    _require_classes(train, source)
    warnings += _find_suspicions(train, test, source)
    if settings is None or settings.validation_fraction == 0:
        return Splits(train, test, sha256, warnings, Target(name=source.target), table.left_out)
    arranged = settings.validation_fraction, settings.seed
    _reorder(train, np.concatenate(_stratify(train.y, *arranged)))
    return Splits(train, test, sha256, warnings, Target(name=source.target), table.left_out, arranged)


def hold_out_validation(train: Dataset, fraction: float, seed: int) -> tuple[Dataset, Dataset | None]:
    """Split training rows into rows to fit on and validation rows for early stopping, stratified by class.

    Args:
        train: the training split, N rows, at least two of each class.
        fraction: share of each class for validation, at least one row; 0 holds back nothing.
        seed: seed of the selection.
    """
    if fraction == 0:
        return train, None
    fit, validation = _stratify(train.y, fraction, seed)
    return train.rows(fit), train.rows(validation)


def _stratify(y: Ints, fraction: float, seed: int) -> tuple[Ints, Ints]:
    """Return shuffled positions of the remaining and of the held-back rows, with the same share of each class.

    Args:
        y: class indices, shape (N,), at least two rows of each class present.
        fraction: share to hold back, above 0 and below 1.
        seed: seed of the selection and of the order.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    by_class = y[order].astype(np.uint16).argsort(kind="stable")  # two bytes are sorted by radix, in O(N)
    held_back = np.zeros(len(y), dtype=np.bool_)
    counts = np.bincount(y)
    for last, share in zip(counts.cumsum().tolist(), _shares(y, fraction).tolist(), strict=True):
        held_back[by_class[last - share : last]] = True
    return order[~held_back], order[held_back]


def _shares(y: Ints, fraction: float) -> Ints:
    """Return the number of rows to hold back per class, at least one but not all, shape (K,)."""
    counts = np.bincount(y)
    shares: Ints = np.rint(counts * fraction).astype(np.int64).clip(1, None)
    return np.minimum(shares, counts - 1).clip(0, None)


def _split(whole: Dataset, source: DataSource) -> tuple[Dataset, Dataset]:
    """Split the rows in place into training and test rows; shuffled as in the tutorials unless stratified."""
    if len(whole) < MIN_ROWS_PER_CLASS:
        raise DatasetError(source.file, f"expected at least {MIN_ROWS_PER_CLASS} rows, got {len(whole)}")
    if source.stratify and source.test_fraction:
        _require_classes(whole, source)
        train, test = _stratify(whole.y, source.test_fraction, source.split_seed)
        return _arrange(whole, train, test)
    positions = np.arange(len(whole))
    try:
        train, test = train_test_split(positions, test_size=source.test_fraction, random_state=source.split_seed)
    except ValueError as error:
        share = f"{source.test_fraction} of {len(whole)} rows are for testing"
        raise DatasetError(source.file, f"expected rows left to train on, got none: {share}") from error
    return _arrange(whole, train, test)


def _arrange(whole: Dataset, train: Ints, test: Ints) -> tuple[Dataset, Dataset]:
    _reorder(whole, np.concatenate([train, test]))
    return whole.rows(slice(len(train))), whole.rows(slice(len(train), None))


def _reorder(dataset: Dataset, order: npt.NDArray[np.int64]) -> None:
    """Reorder the rows in place, a few columns at a time to bound memory."""
    columns = max(1, SPARE_BYTES // (4 * len(order)))
    for first in range(0, dataset.x.shape[1], columns):
        some = slice(first, first + columns)
        dataset.x[:, some] = dataset.x[order, some]
    dataset.y[:] = dataset.y[order]
    dataset.lines[:] = dataset.lines[order]
    dataset.marks[:] = dataset.marks[order]


def _dataset(table: Table, names: dict[str, str], target: str) -> Dataset:
    """Convert a table to a data set: replace codes of class texts by class indices."""
    for name in names.values():
        if len(name) > MAX_LABEL_CHARACTERS:
            problem = f"expected classes of at most {MAX_LABEL_CHARACTERS} characters, got {name[:40]!r}..."
            raise DatasetError(table.file, problem, column=target)
    positions = {value: position for position, value in enumerate(names)}
    values = (*table.target.values, "")  # the last is for rows without a target
    kept = np.flatnonzero(table.target.codes >= 0)
    y = np.array([positions.get(value, -1) for value in values])[table.target.codes]
    if (y[kept] < 0).any():
        row = int(kept[(y[kept] < 0).argmax()])
        problem = f"expected one of {', '.join(map(repr, names))}, got {values[table.target.codes[row]]!r}"
        raise DatasetError(table.file, problem, line=int(table.lines[row]), column=target)
    mix(table.marks, text_bits(values)[table.target.codes])
    whole = Dataset(table.x, y, table.columns, tuple(names.values()), table.lines, table.marks)
    return whole if len(kept) == len(y) else whole.rows(kept)


def _require_classes(rows: Dataset, source: DataSource) -> None:
    """Reject training rows with fewer than two classes or with too few rows of a class."""
    if len(rows.classes) < 2:
        problem = f"expected at least two classes, got only {rows.classes[0]!r}"
        raise DatasetError(source.file, problem, column=source.target)
    counts = np.bincount(rows.y, minlength=len(rows.classes)).tolist()
    faults = [
        DatasetFault(
            column=source.target,
            problem=f"expected at least {MIN_ROWS_PER_CLASS} training rows of each class, got {count} of {name!r}",
        )
        for name, count in zip(rows.classes, counts, strict=True)
        if count < MIN_ROWS_PER_CLASS
    ]
    if faults:
        raise DatasetError.of(source.file, faults[:MAX_FAULTS])


def _find_suspicions(train: Dataset, test: Dataset, source: DataSource) -> tuple[str, ...]:
    """Return warnings about suspicious rows; reject rows with only constant columns."""
    constant = constant_columns(train.x)
    if constant.all():
        raise DatasetError(source.file, "expected features that vary, got only constant columns")
    warnings = [
        f"{source.file}, column {name!r}: constant in the training rows, so it says nothing; leave it out"
        for name, flat in zip(train.features, constant, strict=True)
        if flat
    ]
    warnings += [
        f"{source.file}, column {train.features[column]!r}: leakage_suspect, it alone tells every class of the "
        "training rows; leave it out if it is known only once the class is"
        for column in leaking_columns(train.x, train.y, len(train.classes))
    ]
    warnings += [
        f"{source.file}, column {source.target!r}: {names} are different classes here; are they the same?"
        for names in alike(() if source.classes else train.classes)
    ]
    repeated, shared = count_duplicates(train.marks, test.marks)
    if repeated:
        warnings.append(
            f"{source.file}: {repeated} of {len(train) + len(test)} rows repeat another one; "
            f"{shared} of {len(test)} test rows are training rows too"
        )
    return tuple(warnings)
