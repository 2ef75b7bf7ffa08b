"""Parse lines with pandas, each of which is one row; it must not know files."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection

import numpy as np
import pandas as pd

from training.data.dialect import Syntax


def read_quickly(
    raw: bytes,
    rows: int,
    widths: tuple[int, int],
    syntax: Syntax,
    decimal: str,
    *,
    as_text: Collection[int],
    missing: Collection[str],
) -> pd.DataFrame | None:
    """Return the cells of lines, or None if a line is not one row of the right length.

    Args:
        raw: whole lines.
        rows: their number.
        widths: cells of each row, and how many of them are kept; the others must be empty.
        syntax: how cells are separated.
        decimal: decimal separator.
        as_text: positions of columns to read as text.
        missing: cells that are NaN in columns of numbers.
    """
    columns, kept = widths
    cells = _parse(raw, columns, syntax, decimal, as_text=as_text, missing=missing)
    # pandas pads short rows with empty cells, which cannot be told from real empty cells
    if cells is None or len(cells) != rows:
        return None
    if syntax.quote.encode() in raw and _has_empty(cells[columns - 1]):
        return None
    if columns > kept:
        if any(not _is_empty(cells[at]) for at in range(kept, columns)):
            return None
        cells = cells[list(range(kept))]
    return cells


def _parse(
    raw: bytes, columns: int, syntax: Syntax, decimal: str, *, as_text: Collection[int], missing: Collection[str]
) -> pd.DataFrame | None:
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            return pd.read_csv(
                io.BytesIO(raw),
                sep=syntax.delimiter,
                quotechar=syntax.quote,
                skipinitialspace=syntax.spaced,
                decimal=decimal,
                header=None,
                names=range(columns),
                # "category" would read `01` as a number
                dtype=str if len(as_text) == columns else dict.fromkeys(as_text, pd.StringDtype(na_value=np.nan)),
                na_filter=bool(missing),
                keep_default_na=False,
                na_values=list(missing) or None,
                index_col=False,
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError):
        return None


def _has_empty(column: pd.Series) -> bool:
    return bool(column.isna().any() or (not pd.api.types.is_numeric_dtype(column) and (column == "").any()))


def _is_empty(column: pd.Series) -> bool:
    if pd.api.types.is_numeric_dtype(column):
        return bool(column.isna().all())
    return bool((column.isna() | (column.str.strip() == "")).all())
