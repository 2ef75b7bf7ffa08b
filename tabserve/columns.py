"""Fit the columns of a DataFrame to what a model takes, however pandas keeps them.

Values are not changed: numbers kept as `object` become numbers, whole floats of a category its digits, and a column of
mixed values becomes text. What Arrow or the model has no type for, such as periods, travels as the text that
`DataFrame.to_csv` writes. This module must not know HTTP.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from tabserve.late import load_optional

if TYPE_CHECKING:
    import pandas as pd

_DOUBLE_BYTES = 8
_GROUPED_POINT = "grouped_point"  # reading of numbers such as 1.234,5


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a version knows.

    Attributes:
        version: the version.
        types: type of each feature (`numeric`, `categorical`, `boolean`, `datetime`) by its name.
        ignored: columns that it ignores: the target, and those that were left out in training.
        readings: how the training file writes the numbers of a feature, by its name, where a service says so.
        headless: whether a training file had no header, so that files of rows need none.
    """

    version: int
    types: Mapping[str, str]
    ignored: frozenset[str]
    readings: Mapping[str, str] = field(default_factory=dict)
    headless: bool = False

    @classmethod
    def of(cls, document: Mapping[str, Any], version: int) -> Self:
        """Read them from the description of a model or version."""
        ignored = [column["name"] for column in document["left_out"]]
        if document["target"]:
            ignored.append(document["target"]["name"])
        types = {feature["name"]: feature["type"] for feature in document["features"]}
        readings = {feature["name"]: feature["reading"] for feature in document["features"] if "reading" in feature}
        left_out = frozenset(map(_plain, ignored)) - {_plain(name) for name in types}
        dialects = document.get("dialects") or (document.get("lineage") or {}).get("dialects", {})
        headless = any(dialect.get("header") is False for dialect in dialects.values())
        return cls(version, types, left_out, readings, headless)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A DataFrame as it is sent.

    Attributes:
        frame: its columns are features, and those that are unknown.
        suits_arrow: whether every column has one type that the model takes; otherwise it is sent as CSV, which is read
            as the training file was.
        signs: columns of numbers that CSV must write with a decimal comma, because the model takes 1.234 for 1234, and
            the sign that must stand behind each number.
    """

    frame: pd.DataFrame
    suits_arrow: bool
    signs: Mapping[str, str]

    def text_rows(self, start: int, stop: int) -> pd.DataFrame:
        """Return rows as CSV must write them."""
        rows = self.frame.iloc[start:stop]
        return rows.assign(**{name: _with_commas(rows[name], sign) for name, sign in self.signs.items()})


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
    known = {_plain(name): name for name in columns.types}
    fitted: dict[str, Any] = {}
    signs: dict[str, str] = {}
    suits_arrow = True
    for position, label in enumerate(frame.columns):
        name = str(label)
        feature = name if name in columns.types else known.get(_plain(name), "")
        kind = columns.types.get(feature)
        if kind is None and id_column is not None and _plain(name) == _plain(id_column):
            kind = "categorical"
        if kind is None and (ignore_extra or _plain(name) in columns.ignored):
            continue
        sign = _sign(columns.readings.get(feature, ""))
        column, suits = _fit(pandas, frame.iloc[:, position], kind, sign)
        suits_arrow = suits_arrow and suits and name not in fitted
        sent = name if name not in fitted else f"{name} "  # a name that occurs twice is refused by the service
        fitted[sent] = column
        if sign is not None:
            signs[sent] = sign
    return Fitted(pandas.DataFrame(fitted, index=frame.index), suits_arrow, signs)


def _fit(pandas: Any, column: pd.Series[Any], kind: str | None, sign: str | None) -> tuple[pd.Series[Any], bool]:
    """Return a column as it is sent, and whether Arrow may carry it; see `_sign`."""
    values, types = _uncategorized(pandas, column), pandas.api.types
    if values.dtype == object or types.is_string_dtype(values.dtype):
        return _fit_objects(pandas, values, kind, sign)
    is_float = types.is_float_dtype(values.dtype)
    is_plain = is_float or types.is_integer_dtype(values.dtype) or types.is_bool_dtype(values.dtype)
    is_plain = is_plain and not isinstance(values.dtype, pandas.SparseDtype)
    is_time = types.is_datetime64_any_dtype(values.dtype)
    if kind == "numeric":
        return values, is_plain or is_time  # times are refused as a column
    if kind == "categorical" and is_float and is_plain:
        if (
            getattr(values.dtype, "itemsize", _DOUBLE_BYTES) < _DOUBLE_BYTES
        ):  # 0.1 has other digits as a number of Python's
            values = pandas.to_numeric(values.astype(str), errors="coerce")
        return values.map(_text, na_action="ignore").astype(object), True
    if is_plain or (is_time and kind in ("datetime", None)):
        return values, True
    return values.astype(str).astype(object).where(values.notna(), None), True


def _fit_objects(
    pandas: Any, values: pd.Series[Any], kind: str | None, sign: str | None
) -> tuple[pd.Series[Any], bool]:
    """Return a column of texts or of Python's values as it is sent, and whether Arrow may carry it."""
    kinds = set(map(type, values[values.notna()]))
    if kind == "numeric":
        if sign is not None and str in kinds:
            return _with_commas(values, sign), True
        numbers = pandas.to_numeric(values.astype(object), errors="coerce")  # NaN of an Arrow type would be no gap
        same = bool((numbers.isna() == values.isna()).all())
        return (numbers, True) if same else (values, False)
    if kinds <= {str} or (values.dtype == object and kinds == {bool}):
        return values, True
    return values.map(_text, na_action="ignore"), True


def _uncategorized(pandas: Any, column: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of categories as one of their values; whole numbers have no gaps, so objects take them."""
    if not isinstance(column.dtype, pandas.CategoricalDtype):
        return column
    kind = column.cat.categories.dtype
    return column.astype(object if column.hasnans and pandas.api.types.is_integer_dtype(kind) else kind)


def _sign(reading: str) -> str | None:
    """Return the sign that must stand behind a number in CSV if 1.234 is 1234 there; None if it is not."""
    writing, _, sign = reading.partition(" ")
    return None if writing != _GROUPED_POINT else sign if sign == "%" else ""


def _with_commas(column: pd.Series[Any], sign: str) -> pd.Series[Any]:
    """Return a column whose numbers are texts with a decimal comma; texts stay."""

    def write(value: Any) -> str:
        """Write a number with all its digits, without an exponent."""
        return value if isinstance(value, str) else f"{Decimal(str(value)):f}".replace(".", ",") + sign

    return column.astype(object).map(write, na_action="ignore")


def _text(value: Any) -> str:
    """Return a value as the service writes it: 2.0 is `2`, True is `true`."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")  # of a scalar of NumPy
    if isinstance(value, bool) or kind == "b":
        return "true" if value else "false"
    if (isinstance(value, float) or kind == "f") and float(value).is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _plain(name: str) -> str:
    """Return a name without what the service ignores: outer blanks, and how accents are composed."""
    return unicodedata.normalize("NFC", name.strip())
