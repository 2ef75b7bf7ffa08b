"""Check what a split needs: a column that it can go by, and rows and classes on both sides.

It must not know files. N is rows and K classes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from training.config.recipe import DataSource
from training.data.dataset import Dataset
from training.data.holdout import MOST_HELD, Grouped, HoldOut, Latest
from training.errors import DatasetError

_WORDS = {
    Latest: ("time", "most training rows have the latest time, or none", "later rows"),
    Grouped: ("group", "all training rows are of one group", "other groups"),
}


def require_column(rows: Dataset, source: DataSource) -> None:
    """Refuse a split by a column that is not used, or by time where the column's values have no order.

    Raises:
        DatasetError: with the name of the column.
    """
    split = source.split
    if split is None:
        return
    named = split.time or split.group
    column = next((column for column in rows.columns if column.name == named), None)
    if column is None:
        there = ", ".join(map(repr, rows.features[:20]))
        raise DatasetError(source.file, f"split expects a column that is used, one of {there}", column=named)
    if split.time and column.type not in ("numeric", "datetime"):
        problem = (
            f"split by time expects numbers or dates, got {column.type} values such as {column.texts[0]!r:.50}; write "
            "whole dates such as 2024-01-31, say that its type is numeric or datetime, or name another column"
        )
        raise DatasetError(source.file, problem, column=named)


def describe_sides(train: Dataset, test: Dataset, way: HoldOut, wanted: float | None) -> Iterator[str]:
    """Yield warnings about a split by time or group whose sides cannot be those wanted, as rows of one stay together.

    Each begins with what follows the name of the file.

    Args:
        train: the training rows.
        test: the test rows.
        way: how rows are held out.
        wanted: share of the test rows; None if they are of another file.
    """
    if not isinstance(way, Latest | Grouped):
        return
    what, all_of_one, others = _WORDS[type(way)]
    if wanted is not None and wanted < 0.5 and len(test) > len(train):
        yield (
            f", column {way.column!r}: {len(test)} rows are for testing, not {wanted:.0%}, and {len(train)} to learn "
            f"from, as rows of one {what} stay on one side"
        )
    if not all(map(len, way.hold_out(train, MOST_HELD, "validation"))):
        yield (
            f", column {way.column!r}: {all_of_one}, so the rows that stop or judge the training are drawn from them; "
            f"figures of these may be too good for {others}"
        )


def require_classes(train: Dataset, test: Dataset, source: DataSource) -> tuple[Dataset, Dataset, tuple[str, ...]]:
    """Return the splits without classes that have no training row, and warnings about classes missing on a side.

    Raises:
        DatasetError: if fewer than two classes are left, or no test row.
    """
    if not train.classes:
        return train, test, ()
    counts = [np.bincount(rows.y, minlength=len(train.classes)) for rows in (train, test)]
    tested = source.test_file or source.file
    warnings = tuple(
        f"{tested}, column {source.target!r}: class {name!r} has no test row, so it is not measured"
        for name, fitted, held in zip(train.classes, *counts, strict=True)
        if fitted and not held
    )
    lost = [name for name, count in zip(train.classes, counts[0], strict=True) if not count]
    if not lost:
        return train, test, warnings
    classes = tuple(name for name in train.classes if name not in lost)
    if len(classes) < 2:
        problem = f"expected at least two classes with training rows, got only {classes[0]!r}"
        raise DatasetError(source.file, problem, column=source.target)
    warnings += tuple(
        f"{source.file}, column {source.target!r}: class {name!r} has no training row; its test rows are left out"
        for name in lost
    )
    places = np.array([classes.index(name) if name in classes else -1 for name in train.classes])
    held = test.rows(np.flatnonzero(places[test.y] >= 0))
    if not len(held):
        problem = "expected test rows of the classes with training rows, got none"
        raise DatasetError(tested, problem, column=source.target)
    return (
        replace(train, y=places[train.y], classes=classes),
        replace(held, y=places[held.y], classes=classes),
        warnings,
    )
