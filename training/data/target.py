"""Decide the task, the classes and the rows to keep from the target column.

It must not know files or splits. N is rows and K classes everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelstore import DatasetFault, Distribution, Target, Task
from modelstore.datasets import MANY_VALUES, MAX_CLASSES
from modelstore.numbers import is_number
from modelstore.reading import MAX_NAME_CHARACTERS
from training.config.recipe import DataSource
from training.data.cells import alike, in_class_order
from training.data.columns import TargetColumn
from training.data.faults import MAX_FAULTS
from training.errors import DatasetError

MIN_ROWS_PER_CLASS = 5
OTHER = "other"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Learnt:
    """What is learnt from a table.

    Attributes:
        y: class indices, int64, or values, float64, of the kept rows.
        classes: K names in class order; empty for a regression.
        kept: positions of the rows with a target.
        missing: rows without one.
        warnings: sentences about rows that were left out, and about labels.
    """

    y: npt.NDArray[Any]
    classes: tuple[str, ...]
    kept: Ints
    missing: int
    warnings: tuple[str, ...]


def choose_task(target: TargetColumn, source: DataSource) -> Task:
    """Return the task that the recipe names, or the one that fits the target's type and values.

    A quantity is a column of numbers with more than ten different values, unless its type says categories.
    """
    if source.task is not None:
        return source.task
    is_categories = source.types.get(source.target) in ("categorical", "boolean")
    if source.classes or is_categories or target.numbers is None:
        return "classification"
    values = np.unique(target.numbers[~np.isnan(target.numbers)])
    return "regression" if len(values) > MANY_VALUES else "classification"


def learn_target(target: TargetColumn, lines: Ints, source: DataSource) -> Learnt:
    """Return what is learnt: values of a regression, or classes of a classification.

    Raises:
        DatasetError: if the target does not fit the task.
    """
    if choose_task(target, source) == "regression":
        return _learn_values(target, lines, source)
    return _learn_classes(target, lines, source)


def describe_target(learnt: Learnt, train_y: npt.NDArray[Any], source: DataSource) -> Target:
    """Return the description of the target for the manifest; that of a quantity has a distribution."""
    if learnt.classes:
        return Target(name=source.target, missing=learnt.missing)
    low, *quantiles, high = np.quantile(train_y, np.linspace(0, 1, 11)).tolist()
    values = Distribution(
        mean=float(train_y.mean()), std=float(train_y.std()), min=low, max=high, quantiles=tuple(quantiles)
    )
    unit = source.units.get(source.target, "")
    return Target(name=source.target, type="numeric", unit=unit, missing=learnt.missing, distribution=values)


def class_names(values: Mapping[str, int], source: DataSource) -> dict[str, str]:
    """Return the name of each value in the file, in class order."""
    return source.classes or {value: value for value in in_class_order(values)}


def require_labels(target: TargetColumn, lines: Ints, names: Mapping[str, str], file: str, column: str) -> None:
    """Reject a value that has no name.

    Raises:
        DatasetError: names the first line with such a value.
    """
    unknown = [code for code, value in enumerate(target.values) if value not in names]
    if unknown:
        row = int(np.isin(target.codes, unknown).argmax())
        problem = f"expected one of {', '.join(map(repr, names))}, got {target.values[target.codes[row]]!r}"
        raise DatasetError(file, problem, line=int(lines[row]), column=column)


def _learn_values(target: TargetColumn, lines: Ints, source: DataSource) -> Learnt:
    if not target.values:
        raise DatasetError(source.file, "expected rows with a target, got none", column=source.target)
    if target.numbers is None:
        words = [code for code, value in enumerate(target.values) if in_class_order([value]) and not is_number(value)]
        row = int(np.isin(target.codes, words).argmax())
        found = f"{target.values[target.codes[row]]!r:.60}"
        problem = f"a regression expects numbers, got {found}; or leave `task` and `gate.metric` out"
        raise DatasetError(source.file, problem, line=int(lines[row]), column=source.target)
    kept = np.flatnonzero(~np.isnan(target.numbers))
    _require_quantity(target.numbers[kept], lines[kept], source)
    missing = len(target.numbers) - len(kept)
    warnings = say_missing(missing, len(target.numbers), source)
    if source.task is None:
        values = len(np.unique(target.numbers[kept]))
        warnings += (
            f"{source.file}, column {source.target!r}: {values:,} different numbers, so it is a quantity "
            "(task = regression); task = classification makes them classes",
        )
    return Learnt(target.numbers[kept], (), kept, missing, warnings)


def _require_quantity(values: npt.NDArray[np.float64], lines: Ints, source: DataSource) -> None:
    """Reject values that float32 cannot hold, and those that do not vary."""
    beyond = np.abs(values) > np.finfo(np.float32).max
    if beyond.any():
        row = int(beyond.argmax())
        problem = f"expected a number within float32, got {values[row]!r:.60}"
        raise DatasetError(source.file, problem, line=int(lines[row]), column=source.target)
    if len(values) and values.min() == values.max():
        problem = f"expected values that vary, got only {values[0]:g}"
        raise DatasetError(source.file, problem, column=source.target)


def _learn_classes(target: TargetColumn, lines: Ints, source: DataSource) -> Learnt:
    codes, values = target.codes.astype(np.int64), target.values
    missing = int((codes < 0).sum())
    warnings = say_missing(missing, len(codes), source)
    counts = dict(zip(values, np.bincount(codes[codes >= 0], minlength=len(values)).tolist(), strict=True))
    names = class_names(counts, source)
    require_labels(target, lines, names, source.file, source.target)
    _require_short(names, source)
    if not source.classes:
        warnings += tuple(
            f"{source.file}, column {source.target!r}: {group} are different classes here; are they the same?"
            for group in alike(in_class_order(values))
        )
    rare = {value: count for value, count in counts.items() if count < MIN_ROWS_PER_CLASS}
    classes = tuple(dict.fromkeys(names[value] for value in names if value in counts or source.classes))
    if rare and not source.classes:
        warnings += (_treat_rare(rare, source),)
        classes = tuple(name for value, name in names.items() if value in counts and value not in rare)
        if source.rare_classes == "merge" and sum(rare.values()) >= MIN_ROWS_PER_CLASS:
            classes = tuple(dict.fromkeys((*classes, OTHER)))
            names = names | dict.fromkeys(rare, OTHER)
    _require_few(classes, rare, source)
    places = {name: place for place, name in enumerate(classes)}
    index = np.array([places.get(names[value], -1) for value in values] + [-1], dtype=np.int64)
    y = index[codes]  # a missing code is -1, the last place
    kept = np.flatnonzero(y >= 0)
    return Learnt(y[kept], classes, kept, missing, warnings)


def _treat_rare(rare: Mapping[str, int], source: DataSource) -> str:
    """Return the warning about rare classes, or refuse them.

    Raises:
        DatasetError: if the recipe refuses them; names each with its rows.
    """
    if source.rare_classes == "refuse":
        faults = [
            DatasetFault(
                column=source.target,
                problem=f"expected at least {MIN_ROWS_PER_CLASS} rows of each class, got {count} of {value!r}",
            )
            for value, count in rare.items()
        ]
        raise DatasetError.of(source.file, faults[:MAX_FAULTS])
    rows = sum(rare.values())
    done = f"merged into {OTHER!r}" if source.rare_classes == "merge" and rows >= MIN_ROWS_PER_CLASS else "left out"
    return (
        f"{source.file}, column {source.target!r}: {rows} rows of classes with fewer than {MIN_ROWS_PER_CLASS} rows "
        f"are {done}: {list_counts(rare)}; see rare_classes"
    )


def list_counts(counts: Mapping[str, int]) -> str:
    """Return the first classes with their numbers of rows, and how many more there are."""
    listed = ", ".join(f"{value!r:.60} ({count})" for value, count in list(counts.items())[:MAX_FAULTS])
    return listed + (f" and {len(counts) - MAX_FAULTS} more" if len(counts) > MAX_FAULTS else "")


def say_missing(missing: int, rows: int, source: DataSource) -> tuple[str, ...]:
    """Return the warning about rows without a target, if there are any."""
    if not missing:
        return ()
    return (f"{source.file}, column {source.target!r}: {missing} of {rows} rows have no target and are left out",)


def _require_short(names: Mapping[str, str], source: DataSource) -> None:
    for name in names.values():
        if len(name) > MAX_NAME_CHARACTERS:
            problem = f"expected classes of at most {MAX_NAME_CHARACTERS} characters, got {name[:40]!r}..."
            raise DatasetError(source.file, problem, column=source.target)


def _require_few(classes: tuple[str, ...], rare: Mapping[str, int], source: DataSource) -> None:
    if len(classes) < 2:
        got = f"only {classes[0]!r}" if classes else "none"
        few = f"; those with fewer than {MIN_ROWS_PER_CLASS} rows do not count: {list_counts(rare)}" if rare else ""
        raise DatasetError(source.file, f"expected at least two classes, got {got}{few}", column=source.target)
    if len(classes) > max(MAX_CLASSES, len(source.classes)):
        problem = (
            f"expected at most {MAX_CLASSES} classes, got {len(classes)}, such as {classes[-1]!r:.40}; "
            "is this a quantity? then say task = regression"
        )
        raise DatasetError(source.file, problem, column=source.target)
