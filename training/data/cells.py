"""Interpret single cells of a data file as numbers or words."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelstore.dates import DIGITS, FIRST_DIGITS, LAST_DIGITS, parse_date

LARGEST = float(np.finfo(np.float32).max)
WORDS = frozenset(string.ascii_letters) - frozenset("nNiI")  # first letters, but for those of nan and inf
GROUPED = re.compile(r"[+-]?\d[\d. ]*,[\d., ]*")


def number(cell: str) -> float:
    """Parse a cell as a number, which may be NaN or infinite.

    Raises:
        ValueError: if it is not a number; `1_000` and digits of other scripts are not.
    """
    if "_" in cell or not cell.isascii():
        raise ValueError(cell)
    return float(cell)


def finite(cell: str) -> float | None:
    """Parse a cell as a finite number; return None if it is not one."""
    value = _number(cell)
    return value if value is not None and math.isfinite(value) else None


def numbers(column: pd.Series, decimal: str = ".") -> npt.NDArray[np.float64]:
    """Return a column of a block as float64 (n,), with NaN for cells that are not numbers."""
    if pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
        return column.to_numpy(dtype=np.float64)
    return parse(column.astype(str).tolist() if column.dtype == bool else column.tolist(), decimal)


def parse(cells: list[str], decimal: str = ".") -> npt.NDArray[np.float64]:
    """Parse cells as numbers, float64 (n,), with NaN for cells that are not numbers."""
    if decimal == ",":
        cells = [cell.replace(",", ".") if "." not in cell else "nan" for cell in cells]
    try:
        if "_" in (whole := "".join(cells)) or not whole.isascii():
            raise ValueError
        return np.array([float(cell) if cell else math.nan for cell in cells], dtype=np.float64)  # gaps are common
    except ValueError:
        return np.array([math.nan if (value := _number(cell)) is None else value for cell in cells], dtype=np.float64)


def parse_either(cells: list[str], decimal: str) -> npt.NDArray[np.float64]:
    """Parse cells as numbers as `parse` does, or with a decimal point."""
    values = parse(cells)
    return values if decimal == "." else np.where(np.isnan(values), parse(cells, decimal), values)


def are_days(values: npt.NDArray[Any]) -> bool:
    """Return whether all numbers, none of them NaN, are days as eight digits, as 20240131 is."""
    if not len(values) or values.min() < FIRST_DIGITS or values.max() > LAST_DIGITS:
        return not len(values)
    days = np.unique(values).tolist()
    return all(day == int(day) and parse_date(str(int(day)), DIGITS) for day in days)


def wrong_number(cell: str) -> str:
    """Describe the fault of a cell that is not a finite float32."""
    if not cell.strip():
        return "expected a finite number, got an empty cell"
    hint = ": write a decimal point and no thousands separators" if GROUPED.fullmatch(cell.strip()) else ""
    return f"expected a finite number (at most {LARGEST:.2g}), got {cell[:40]!r}{hint}"


def in_class_order(values: Iterable[str]) -> list[str]:
    """Sort class texts numerically if all are finite numbers, else as text."""
    texts = sorted(values)
    known = [rank for rank in map(finite, texts) if rank is not None]
    return [texts[at] for at in np.argsort(known, kind="stable")] if len(known) == len(texts) else texts


def alike(values: Iterable[str]) -> list[str]:
    """Return groups of class texts that probably mean the same: `yes`, `yes ` and `Yes`, or `0` and `0.0`."""
    groups: dict[str, list[str]] = {}
    for text in values:
        value = finite(text)
        same = unicodedata.normalize("NFKC", text).casefold().split() if value is None else value
        groups.setdefault(str(same), []).append(text)
    return [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]


def _number(cell: str) -> float | None:
    if cell[:1] in WORDS:  # an exception costs ten times as much
        return None
    try:
        return number(cell)
    except ValueError:
        return None
