"""Read the target of a test file as the classes that were learnt from the training rows.

It must not know the syntax of files. N is rows and K classes everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.config.recipe import DataSource
from training.data.columns import TargetColumn
from training.data.target import OTHER, Ints, Learnt, learn_target, list_counts, require_labels, say_missing
from training.errors import DatasetError


def learn_known(target: TargetColumn, lines: Ints, source: DataSource, classes: tuple[str, ...]) -> Learnt:
    """Return the target of a test file, with the classes that were learnt from the training rows.

    Rows of other classes are left out, or of the class `other` if rare classes are merged into it.

    Args:
        target: the column in the test file, N rows.
        lines: line of each row, (N,).
        source: the data source, whose `file` is the test file here.
        classes: K names in class order; empty for a regression.

    Raises:
        DatasetError: if the target does not fit the task, no row is left, or other classes are refused.
    """
    if not classes:
        return learn_target(target, lines, source.model_copy(update={"task": "regression"}))
    names = source.classes or {value: value for value in target.values}
    require_labels(target, lines, names, source.file, source.target)
    places = {name: place for place, name in enumerate(classes)}
    rest = places.get(OTHER, -1) if source.rare_classes == "merge" else -1
    y = np.array([places.get(names[value], rest) for value in target.values] + [-1], dtype=np.int64)[target.codes]
    missing, *counts = np.bincount(target.codes + 1, minlength=len(target.values) + 1).tolist()
    unknown = {value: count for value, count in zip(target.values, counts, strict=True) if names[value] not in places}
    warnings = say_missing(missing, len(y), source)
    if unknown:
        warnings += (_treat_unknown(unknown, len(y), source, merged=rest >= 0),)
    kept = np.flatnonzero(y >= 0)
    if not len(kept):
        raise DatasetError(source.file, "expected rows of the classes that are learnt, got none", column=source.target)
    return Learnt(y[kept], classes, kept, missing, warnings)


def _treat_unknown(unknown: Mapping[str, int], rows: int, source: DataSource, *, merged: bool) -> str:
    """Return the warning about classes that are not learnt, or refuse them.

    Raises:
        DatasetError: if the recipe refuses classes with few rows, of which these have none to learn from.
    """
    found = list_counts(unknown)
    if source.rare_classes == "refuse":
        raise DatasetError(source.file, f"expected classes of the training rows, got {found}", column=source.target)
    done = f"merged into {OTHER!r}" if merged else "left out"
    lost = f"{sum(unknown.values())} of {rows} rows have a class that is not learnt and are {done}"
    return f"{source.file}, column {source.target!r}: {lost}: {found}"
