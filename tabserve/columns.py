"""Fit the columns of a DataFrame to what a model takes, however pandas keeps them.

Values are not changed: numbers kept as `object` become numbers, whole floats of a category its digits, and a column of
mixed values becomes text. This module must not know HTTP.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tabserve.late import load_optional

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a version knows.

    Attributes:
        version: the version.
        types: type of each feature (`numeric`, `categorical`, `boolean`, `datetime`) by its name.
        ignored: columns that it ignores: the target, and those that were left out in training.
    """

    version: int
    types: Mapping[str, str]
    ignored: frozenset[str]

    @classmethod
    def of(cls, document: Mapping[str, Any], version: int) -> Self:
        """Read them from the description of a model or version."""
        ignored = [column["name"] for column in document["left_out"]]
        if document["target"]:
            ignored.append(document["target"]["name"])
        types = {feature["name"]: feature["type"] for feature in document["features"]}
        return cls(version, types, frozenset(map(_plain, ignored)) - {_plain(name) for name in types})


@dataclass(frozen=True, slots=True)
class Fitted:
    """A DataFrame as it is sent.

    Attributes:
        frame: its columns are features, and those that are unknown.
        suits_arrow: whether every column has one type that the model takes; otherwise it is sent as CSV, which is read
            as the training file was.
    """

    frame: pd.DataFrame
    suits_arrow: bool


def fit_columns(
    frame: pd.DataFrame, columns: Columns, *, ignore_extra: bool = False, id_column: str | None = None
) -> Fitted:
    """Return a DataFrame with columns as the model takes them.

    Args:
        frame: rows to predict; it is not changed.
        columns: columns of the version.
        ignore_extra: leave out columns that the model does not know; otherwise they are sent, and refused by name.
        id_column: column with ids, which is sent in any case; whole numbers are their digits.
    """
    pandas = load_optional("pandas", "pandas", "a DataFrame")
    known = {_plain(name): kind for name, kind in columns.types.items()}
    fitted: dict[str, Any] = {}
    suits_arrow = True
    for position, label in enumerate(frame.columns):
        name = str(label)
        kind = columns.types.get(name) or known.get(_plain(name))
        if kind is None and name == id_column:
            kind = "categorical"
        if kind is None and (ignore_extra or _plain(name) in columns.ignored):
            continue
        column, suits = _fit(pandas, frame.iloc[:, position], kind)
        suits_arrow = suits_arrow and suits and name not in fitted
        fitted[name if name not in fitted else f"{name} "] = (
            column  # a name that occurs twice is refused by the service
        )
    return Fitted(pandas.DataFrame(fitted, index=frame.index), suits_arrow)


def _fit(pandas: Any, column: pd.Series[Any], kind: str | None) -> tuple[pd.Series[Any], bool]:
    """Return a column as it is sent, and whether Arrow may carry it."""
    values = column.astype(column.cat.categories.dtype) if isinstance(column.dtype, pandas.CategoricalDtype) else column
    is_text = values.dtype == object or pandas.api.types.is_string_dtype(values.dtype)
    if kind == "numeric":
        if not is_text:
            return values, True
        numbers = pandas.to_numeric(values, errors="coerce")
        same = bool((numbers.isna() == values.isna()).all())
        return (numbers, True) if same else (values, False)
    if kind == "categorical" and pandas.api.types.is_float_dtype(values.dtype):
        return values.map(_text, na_action="ignore").astype(object), True
    if values.dtype == object:
        kinds = set(map(type, values[values.notna()]))
        if not kinds <= {str}:
            return (values, True) if kinds == {bool} else (values.map(_text, na_action="ignore"), True)
    return values, True


def _text(value: object) -> str:
    """Return a value as the service writes it: 2.0 is `2`, True is `true`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _plain(name: str) -> str:
    """Return a name without what the service ignores: outer blanks, and how accents are composed."""
    return unicodedata.normalize("NFC", name.strip())
