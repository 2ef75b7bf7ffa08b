"""Load a recipe's data set, check it, and split it.

It must not know networks or the syntax of files. N is rows, F features and K classes everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from modelstore import Dialect, Feedback, FeedbackSummary, LeftOut, Target
from training.config.learner_settings import TrainingSettings
from training.config.recipe import DataSource
from training.data.dataset import Dataset
from training.data.feedback import append_feedback
from training.data.holdout import Grouped, HoldOut, Latest, Shuffled, hold_out_validation_rows, way_of
from training.data.known import learn_known
from training.data.quality import constant_features, find_suspicions
from training.data.repeats import mix, text_bits
from training.data.sides import describe_sides, require_classes, require_column
from training.data.table import Table, read_table
from training.data.target import Learnt, describe_target, learn_target
from training.errors import DatasetError
from training.preprocessing.categories import fit_categories, recode

MIN_ROWS = 5
CALIBRATED_ROWS = 2_000  # from so many training rows on, some are kept for the scores of prediction sets only
CALIBRATION_FRACTION, MOST_CALIBRATION_ROWS = 0.1, 5_000


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
        dialects: how each data file is written, by file name.
        arranged: fraction and seed of the validation rows placed at the end of `train`, if there are any.
        held_back: number of these rows.
        way: how rows are held out.
        calibration: rows for the scores of prediction sets and nothing else; None if they would be too few.
        feedback: rows of feedback among them; None if there are none.
    """

    train: Dataset
    test: Dataset
    sha256: dict[str, str]
    warnings: tuple[str, ...]
    target: Target
    left_out: tuple[LeftOut, ...] = ()
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    arranged: tuple[float, int] | None = None
    held_back: int = 0
    way: HoldOut = field(default_factory=Shuffled)
    calibration: Dataset | None = None
    feedback: FeedbackSummary | None = None

    def hold_out(self, fraction: float, seed: int) -> tuple[Dataset, Dataset | None]:
        """Return the rows to fit on and the validation rows, without copying if they are already arranged so."""
        if (fraction, seed) != self.arranged:
            return hold_out_validation(self.train, fraction, seed, self.way)
        fitted = len(self.train) - self.held_back
        return self.train.rows(slice(fitted)), self.train.rows(slice(fitted, None))


def load_splits(
    source: DataSource,
    folder: Path,
    settings: TrainingSettings | None = None,
    dialects: Mapping[str, Dialect] | None = None,
    way: HoldOut | None = None,
    *,
    calibrate: bool = False,
    feedback: Feedback | None = None,
) -> Splits:
    """Read, check and split the data of a recipe; splits of one file share the memory of its table.

    Args:
        source: the data source of the recipe.
        folder: the data folder.
        settings: training settings; if given, the validation rows are arranged so that they need no extra memory. The
            features of images are numbers, unless the source says otherwise.
        dialects: how files are written, by name, where that is known better than the source says.
        way: how rows are held out, by default as the source says.
        calibrate: whether rows are kept for the scores of prediction sets, if there are enough.
        feedback: rows of feedback that stand below those of the file.

    Raises:
        DatasetError: if the data cannot be trained on; names the file and, if known, line and column.
    """
    images = settings is not None and settings.image is not None
    way = way or way_of(source)
    table, summary = _read_rows(source, folder, dialects, feedback, way, images=images)
    learnt = _learn(table, source)
    whole = _require_columns(_dataset(table, learnt), source, way)
    files, warnings = [table], table.warnings + learnt.warnings
    if source.test_file is None:
        train, test = _split(whole, source, way)
    else:
        files.append(_read(source, folder, source.test_file, dialects, columns=table.columns, marked=table.marked))
        train, (test, left_out) = whole, _test_dataset(files[-1], whole, source)
        warnings += files[-1].warnings + left_out
    train, test, lost = require_classes(train, test, source)
    _require_difference(train, source)
    warnings += lost + tuple(f"{source.file}{found}" for found in find_suspicions(train, test, images=images))
    target = describe_target(learnt, train.y, source)
    sha256, written = {one.file: one.sha256 for one in files}, {one.file: one.dialect for one in files}
    splits = Splits(train, test, sha256, warnings, target, table.left_out, written, way=way, feedback=summary)
    splits = _warn_of_sides(_keep_calibration_rows(splits) if calibrate else splits, source)
    return _with_categories(_arrange(splits, settings))


def _read_rows(
    source: DataSource,
    folder: Path,
    dialects: Mapping[str, Dialect] | None,
    feedback: Feedback | None,
    way: HoldOut,
    *,
    images: bool,
) -> tuple[Table, FeedbackSummary | None]:
    """Read the file of a data source, with rows of feedback below its own, and return these in short.

    Raises:
        DatasetError: if the rows cannot be used, or are too few.
    """
    kind = "numeric" if images else None  # pixels that are always the same belong to an image, too
    group = way.column if isinstance(way, Grouped) else ""
    table = _read(source, folder, source.file, dialects, features=source.features, unless_said=kind, group=group)
    table, summary = (table, None) if feedback is None else append_feedback(table, feedback, group)
    if len(table.lines) < MIN_ROWS:
        raise DatasetError(source.file, f"expected at least {MIN_ROWS} rows, got {len(table.lines)}")
    return table, summary


def _learn(table: Table, source: DataSource) -> Learnt:
    """Return what is learnt from the rows of the file.

    Raises:
        DatasetError: if the target does not fit the task, or too few rows have one.
    """
    learnt = learn_target(table.target, table.lines, source)
    if len(learnt.kept) < MIN_ROWS:
        problem = f"expected at least {MIN_ROWS} rows with a target, got {len(learnt.kept)}"
        raise DatasetError(source.file, problem, column=source.target)
    return learnt


def _require_difference(train: Dataset, source: DataSource) -> None:
    """Reject training rows that are all the same, as one row is.

    Raises:
        DatasetError.
    """
    if (train.marks == train.marks[0]).all():
        problem = f"expected training rows that differ, got {len(train):,} that are all the same"
        raise DatasetError(source.file, problem)


def _keep_calibration_rows(splits: Splits) -> Splits:
    """Place calibration rows at the end of the training rows, in place, and take them from these.

    A class keeps its training rows, and those of their groups, if all of them would be taken. There are none if those
    of a time, or of a group, are more than twice as many as wanted.
    """
    train = splits.train
    if len(train) < CALIBRATED_ROWS:
        return splits
    fraction = min(CALIBRATION_FRACTION, MOST_CALIBRATION_ROWS / len(train))
    rest, kept = splits.way.hold_out(train, fraction, "calibration")
    if train.classes:
        is_learnt = np.bincount(train.y[rest], minlength=len(train.classes)) > 0
        back = np.isin(train.together[kept], train.together[kept[~is_learnt[train.y[kept]]]])
        rest, kept = np.append(rest, kept[back]), kept[~back]
    too_many = isinstance(splits.way, Latest | Grouped) and len(kept) > 2 * fraction * len(train)
    if not len(rest) or not len(kept) or too_many:
        return splits
    train.reorder(np.concatenate([rest, kept]))
    return replace(splits, train=train.rows(slice(len(rest))), calibration=train.rows(slice(len(rest), None)))


def _warn_of_sides(splits: Splits, source: DataSource) -> Splits:
    found = describe_sides(splits.train, splits.test, splits.way, source.test_fraction)
    return replace(splits, warnings=(*splits.warnings, *(f"{source.file}{each}" for each in found)))


def _arrange(splits: Splits, settings: TrainingSettings | None) -> Splits:
    """Place the validation rows that the settings want at the end of the training rows, in place."""
    if settings is None or settings.validation_fraction == 0:
        return splits
    fraction, seed = settings.validation_fraction, settings.seed
    fit, validation = hold_out_validation_rows(splits.train, fraction, seed, splits.way)
    splits.train.reorder(np.concatenate([fit, validation]))
    return replace(splits, arranged=(fraction, seed), held_back=len(validation))


def _read(source: DataSource, folder: Path, file: str, dialects: Mapping[str, Dialect] | None, **more: Any) -> Table:
    """Read one file of a data source as it is written."""
    dialect = (dialects or {}).get(file, source.dialect)
    return read_table(folder, file, source.target, options=source, dialect=dialect, **more)


def _with_categories(splits: Splits) -> Splits:
    """Fit categories on the training rows, and give all rows their codes in place; rows are held out before this."""
    columns, calibration = fit_categories(splits.train.columns, splits.train.x), splits.calibration
    for rows in (splits.train, splits.test, calibration):
        if rows is not None:
            recode(rows.x, rows.columns, columns)
    return replace(
        splits,
        train=replace(splits.train, columns=columns),
        test=replace(splits.test, columns=columns),
        calibration=calibration and replace(calibration, columns=columns),
    )


def hold_out_validation(
    train: Dataset, fraction: float, seed: int, way: HoldOut | None = None
) -> tuple[Dataset, Dataset | None]:
    """Split training rows into rows to fit on and validation rows for early stopping.

    Args:
        train: the training split, N rows, at least two of each class.
        fraction: share of the rows for validation; 0 holds back nothing.
        seed: seed of the selection, where it is drawn.
        way: how rows are held out; by default drawn, with the same share of each class.
    """
    if fraction == 0:
        return train, None
    fit, validation = hold_out_validation_rows(train, fraction, seed, way or Shuffled())
    return train.rows(fit), train.rows(validation)


def _split(whole: Dataset, source: DataSource, way: HoldOut) -> tuple[Dataset, Dataset]:
    """Split the rows in place into training and test rows."""
    assert source.test_fraction is not None
    train, test = way.hold_out(whole, source.test_fraction, "test")
    if not len(train) or not len(test):
        lacking = "train on" if not len(train) else "test on"
        share = f"{source.test_fraction} of {len(whole)} rows are for testing"
        raise DatasetError(source.file, f"expected rows left to {lacking}, got none: {share}")
    whole.reorder(np.concatenate([train, test]))
    return whole.rows(slice(len(train))), whole.rows(slice(len(train), None))


def _dataset(table: Table, learnt: Learnt) -> Dataset:
    """Convert a table to a data set of the rows that have a target."""
    x, lines, marks, groups, kept = table.x, table.lines, table.marks, table.groups, learnt.kept
    if len(kept) < len(lines):
        x, lines, marks, groups = x[kept], lines[kept], marks[kept], None if groups is None else groups[kept]
    mix(marks, text_bits(table.target.values, table.dialect.decimal or ".")[table.target.codes[kept]])
    return Dataset(x, learnt.y, table.columns, learnt.classes, lines, marks, table.marked, groups)


def _require_columns(whole: Dataset, source: DataSource, way: HoldOut) -> Dataset:
    """Return the rows, with marks of their groups if these are held out; refuse columns that cannot be used."""
    if all(constant_features(whole)):
        raise DatasetError(source.file, "expected features that vary, got only constant columns")
    require_column(whole, source)
    return way.mark(whole) if isinstance(way, Grouped) else whole


def _test_dataset(table: Table, train: Dataset, source: DataSource) -> tuple[Dataset, tuple[str, ...]]:
    """Return the rows of a test file with the columns and classes of the training rows, and warnings."""
    learnt = learn_known(table.target, table.lines, source.model_copy(update={"file": table.file}), train.classes)
    return replace(_dataset(table, learnt), columns=train.columns), learnt.warnings
