"""Validate a training request against the columns of its data set.

This module must not know files or jobs.
"""

from __future__ import annotations

from app.errors import InvalidInput, Problem
from app.jobs.records import TrainingRequest
from modelstore import ColumnSummary, DatasetSummary, InvalidName, Overrides, check_new_name
from modelstore.overrides import require_validation_rows
from modelstore.reading import column_name

MIN_CLASSES = 2


def check_model_name(name: str) -> None:
    """Check that a well-formed name may be used for a new model.

    Raises:
        InvalidInput: if the name is reserved by the service.
    """
    try:
        check_new_name(name)
    except InvalidName as error:
        raise _wrong("model", f"must be {error.expected}; take another name than {name!r}") from error


def check_early_stopping(overrides: Overrides, patience: int, validation_fraction: float) -> None:
    """Check that the settings of a training do not contradict each other, as the training itself would.

    Args:
        overrides: what the request changes.
        patience: what holds without them.
        validation_fraction: likewise.

    Raises:
        InvalidInput: naming the field.
    """
    try:
        require_validation_rows(
            patience if overrides.patience is None else overrides.patience,
            validation_fraction if overrides.validation_fraction is None else overrides.validation_fraction,
        )
    except ValueError as error:
        field = "validation_fraction" if overrides.patience is None else "patience"
        raise _wrong(f"overrides.{field}", f"needs {error}") from error


def check_without_dataset(request: TrainingRequest) -> None:
    """Check a request without a data set: the recipe defines target and features.

    Raises:
        InvalidInput: if the request names a target or features.
    """
    for name in ("target", "features"):
        if getattr(request, name) is not None:
            raise _wrong(name, "is for a data set; name one in `dataset`")


def check_with_dataset(request: TrainingRequest, summary: DatasetSummary) -> tuple[str, ...] | None:
    """Check target and features against the columns of a data set.

    Returns:
        The features to learn from; None for all columns except the target.

    Raises:
        InvalidInput: naming the field, and the column if the fault concerns one.
    """
    columns = {column_name(column.name): column for column in summary.columns}
    if request.target is None:
        raise _wrong("target", f"must be the class column; the data set has {_list_some(columns)}")
    target = column_name(request.target)
    if target not in columns:
        raise _wrong("target", f"is no column of the data set, which has {_list_some(columns)}")
    if columns[target].distinct is not None and (columns[target].distinct or 0) < MIN_CLASSES:
        raise _wrong("target", "has one value only; a classifier needs at least two classes")
    if request.features is None:
        features = tuple(name for name, column in columns.items() if column.left_out is None and name != target)
    else:
        features = tuple(map(column_name, request.features))
    if not features:
        raise _wrong("features", "must be at least one usable column besides the target")
    earlier: set[str] = set()
    for place, name in enumerate(features if request.features else ()):
        _check_feature(f"features.{place}", name, target, columns, earlier)
        earlier.add(name)
    if request.features is None and len(features) == len(columns) - 1:
        return None
    return features


def _check_feature(field: str, name: str, target: str, columns: dict[str, ColumnSummary], earlier: set[str]) -> None:
    if name not in columns:
        raise _wrong(field, f"is no column of the data set, which has {_list_some(columns)}")
    if name == target:
        raise _wrong(field, "is the target, which cannot be learnt from")
    if name in earlier:
        raise _wrong(field, "is named twice")


def _list_some(columns: dict[str, ColumnSummary]) -> str:
    """Return the first column names for a message; they come from the stored data set, not from the request."""
    names = list(columns)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _wrong(field: str, problem: str) -> InvalidInput:
    return InvalidInput(f"{field} {problem}", (Problem(None, field, problem),))
