"""Validate a training request against the columns of its data set.

This module must not know files or jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from app.errors import wrong_field
from app.jobs.learner_settings import MIN_CLASSES, check_task
from app.jobs.records import TrainingRequest
from modelstore import ColumnSummary, DatasetSummary, InvalidName, LeftOut, Task, check_new_name
from modelstore.datasets import MANY_VALUES, MAX_CLASSES
from modelstore.numbers import is_number, parse_number
from modelstore.reading import column_name
from modelstore.wording import nearest

MIN_CLASS_ROWS = 5
MOST_COMPARED = 2000  # column names; each comparison takes some 10 microseconds
SHOWN_NAMES = 20

Columns = Mapping[str, ColumnSummary]


def check_model_name(name: str) -> None:
    """Check that a well-formed name may be used for a new model.

    Raises:
        InvalidInput: if the name is reserved by the service.
    """
    try:
        check_new_name(name)
    except InvalidName as error:
        raise wrong_field("model", f"must be {error.expected}; take another name than {name!r}") from error


def check_without_dataset(request: TrainingRequest) -> None:
    """Check a request without a data set: the recipe defines target, features and the options of the data.

    Raises:
        InvalidInput: if the request names one of them.
    """
    named = (name for name in ("target", "features", "include_feedback") if getattr(request, name))
    for name in (*named, *request.to_dict()):
        raise wrong_field(name, "is for a data set; name one in `dataset`")


def check_with_dataset(request: TrainingRequest, summary: DatasetSummary) -> tuple[LeftOut, ...]:
    """Check target, features and options against the columns of a data set.

    Returns:
        The columns that the training leaves out, with reasons, as far as the inspection of the data set tells.

    Raises:
        InvalidInput: naming the field, and the column if the fault concerns one.
    """
    columns = {column_name(column.name): column for column in summary.columns}
    if request.target is None:
        raise wrong_field("target", f"must be the column to predict; the data set has {_list_some(columns)}")
    target = _require(columns, "target", request.target)
    features = _features(request, columns)
    left_out = _left_out(request, columns, features)
    learnt = set(features).difference(column.name for column in left_out)
    _check_types(request, columns, features)
    _check_optional(request, columns, features)
    _check_split(request, columns, features, learnt)
    _check_target(request, columns[target])
    check_task(request, _task_of(request, columns[target]), _count_classes(request, columns[target]))
    if not learnt:
        reasons = "".join(f"; {column.name} is left out ({column.reason})" for column in left_out[:SHOWN_NAMES])
        raise wrong_field("features", f"must be at least one column besides the target{reasons}")
    _check_image(request, [columns[name] for name in features if name in learnt])
    return left_out


def columns_learnt_from(
    request: TrainingRequest, summary: DatasetSummary, left_out: Sequence[LeftOut]
) -> tuple[str, ...]:
    """Return the columns that the training learns from, as far as the inspection of the data set tells."""
    columns = {column_name(column.name): column for column in summary.columns}
    unused = {column.name for column in left_out}
    return tuple(name for name in _features(request, columns) if name not in unused)


def _features(request: TrainingRequest, columns: Columns) -> Sequence[str]:
    """Return the features that the request names, or all columns except the target."""
    if request.features is None:
        return [name for name in columns if name != request.target]
    earlier: set[str] = set()
    for place, name in enumerate(request.features):
        field = f"features.{place}"
        _require(columns, field, name)
        if name == request.target:
            raise wrong_field(field, "is the target, which cannot be learnt from")
        if name in earlier:
            raise wrong_field(field, "is named twice")
        earlier.add(name)
    return request.features


def _check_types(request: TrainingRequest, columns: Columns, features: Sequence[str]) -> None:
    """Check that each type is for a column that is used, and that it does not contradict its cells."""
    used = {*features, request.target}
    for place, (name, kind) in enumerate(request.types.items(), start=1):
        _require(columns, "types", name, f"column {place} of them")
        if name not in used:
            raise wrong_field(
                "types", f"has column {name!r}, which is not among the features; name it there, or not here"
            )
        if kind == "numeric" and _is_text(columns[name]) and request.missing_values is None:
            problem = f"says that column {name!r} is numeric, but it has other texts; are some `missing_values`?"
            raise wrong_field("types", problem)


def _check_optional(request: TrainingRequest, columns: Columns, features: Sequence[str]) -> None:
    used = set(features)
    for place, name in enumerate(request.optional):
        _require(columns, field := f"optional.{place}", name)
        if name not in used:
            raise wrong_field(field, "is not among the features, so requests need not name it")


def _check_split(request: TrainingRequest, columns: Columns, features: Sequence[str], learnt: Set[str]) -> None:
    """Check that rows are held out by a column that is learnt from and, for a time, has an order."""
    for field, name in request.split or ():
        if name is not None:
            _require(columns, f"split.{field}", name)
            if name == request.target:
                raise wrong_field(f"split.{field}", "is the target; rows are held out by another column")
            if name not in features:
                raise wrong_field(f"split.{field}", "is not among the features; rows are held out by one of them")
            if name not in learnt and request.missing_values is None:
                problem = f"is left out ({columns[name].left_out}); name another one, or say its type in `types`"
                raise wrong_field(f"split.{field}", problem)
            kind = request.types.get(name, columns[name].type)
            if field == "time" and kind not in ("numeric", "datetime") and request.missing_values is None:
                problem = f"must be a column of numbers or dates, but {name!r} is {kind}; say its type in `types`"
                raise wrong_field("split.time", f"{problem}, or name another column")


def _check_image(request: TrainingRequest, learnt: Sequence[ColumnSummary]) -> None:
    """Check that the learner of images gets a column of numbers for each pixel."""
    image = request.overrides.image
    if not image or request.overrides.learner != "cnn" or request.missing_values is not None:
        return
    kinds = [request.types.get(column_name(column.name), "" if _is_text(column) else "numeric") for column in learnt]
    numbers = kinds.count("numeric")
    if (len(learnt), numbers) != (image.pixels, image.pixels):
        found = f"there are {len(learnt)} columns to learn from, {numbers} of them numbers"
        raise wrong_field("overrides.image", f"has {image.pixels} pixels, each a column of numbers, and {found}")


def _check_target(request: TrainingRequest, target: ColumnSummary) -> None:
    """Check that the target fits the task, as far as its values are known."""
    kind = request.types.get(column_name(target.name))
    if target.distinct is not None and target.distinct < MIN_CLASSES:
        raise wrong_field("target", "has one value only, so there is nothing to predict")
    if kind == "datetime":
        raise wrong_field("types", "says that the target is a date, which cannot be predicted")
    if request.task == "regression":
        if kind in ("categorical", "boolean"):
            raise wrong_field("task", f"is regression, but `types` says that the target is {kind}; drop one of the two")
        if _is_text(target) and kind is None:
            raise wrong_field("task", "is regression, but the target has texts that are no numbers")
    elif (target.distinct is None or target.distinct > MAX_CLASSES) and (
        request.task or kind in ("categorical", "boolean") or _is_text(target)
    ):
        hint = "" if _is_text(target) else "; is it a quantity? `task`: `regression` predicts numbers"
        raise wrong_field("target", f"has more than {MAX_CLASSES} different values, the most that can be classes{hint}")
    elif request.rare_classes == "refuse" and (request.task or kind or _is_text(target)):
        rare = [value for value, rows in target.classes.items() if rows < MIN_CLASS_ROWS]
        if rare := [value for value in rare if value not in request.missing_texts]:
            raise wrong_field(
                "rare_classes", f"is refuse, and {len(rare)} classes have fewer than {MIN_CLASS_ROWS} rows"
            )


def _task_of(request: TrainingRequest, target: ColumnSummary) -> Task | None:
    """Return the task that the request says or the target's values leave; None if both are open."""
    kind = request.types.get(column_name(target.name))
    if request.task or kind in ("categorical", "boolean"):
        return request.task or "classification"
    if request.missing_values is None and kind is None and _is_text(target):
        return "classification"
    numbers = {parse_number(text) for text in target.classes if text not in request.missing_texts}
    many = target.distinct is None or target.distinct > MAX_CLASSES or len(numbers) > MANY_VALUES
    return "regression" if target.type == "numeric" and many else None


def _count_classes(request: TrainingRequest, target: ColumnSummary) -> int | None:
    """Return the number of classes if it is known: rare ones may be left out or merged."""
    rows = [count for value, count in target.classes.items() if value not in request.missing_texts]
    known = len(rows) >= MIN_CLASSES and min(rows) >= MIN_CLASS_ROWS and len(rows) == target.distinct
    return len(rows) if known else None


def _left_out(request: TrainingRequest, columns: Columns, features: Sequence[str]) -> tuple[LeftOut, ...]:
    """Return the features that the inspection found to be of no use, and the columns that were not chosen."""
    found = [
        LeftOut(name=name, reason=reason, detail=columns[name].detail)
        for name in features
        if (reason := columns[name].left_out)
        # what is said wins, but for a column without values; pixels are numbers, as if `types` said so
        and (reason == "empty" or not (request.overrides.image or name in request.types))
    ]
    chosen = {*features, request.target}
    others = [name for name in columns if name not in chosen]
    detail = "it is not among the features of the request"
    found += [LeftOut(name=name, reason="not_chosen", detail=detail) for name in others[:SHOWN_NAMES]]
    if more := len(others) - SHOWN_NAMES if len(others) > SHOWN_NAMES else 0:
        detail = f"{more} more columns are not among the features of the request"
        found.append(LeftOut(name="", reason="not_chosen", detail=detail))
    return tuple(found)


def _is_text(column: ColumnSummary) -> bool:
    if isinstance(column.minimum, int | float):  # codes with leading zeros too
        return False
    return column.type != "numeric" and not all(map(is_number, column.classes or ("",)))


def _require(columns: Columns, field: str, name: str, what: str = "") -> str:
    """Return the name if there is such a column; the message repeats only names of the stored data set.

    Raises:
        InvalidInput: with the nearest name.
    """
    if name in columns:
        return name
    meant = nearest(name, columns, MOST_COMPARED)
    perhaps = f"; perhaps {meant!r} is meant" if meant else ""
    subject = f"has a column that does not exist, {what}" if what else "is no column of the data set"
    raise wrong_field(field, f"{subject}{perhaps}; the data set has {_list_some(columns)}")


def _list_some(columns: Columns) -> str:
    """Return the first column names for a message; they come from the stored data set, not from the request."""
    names = list(columns)
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
