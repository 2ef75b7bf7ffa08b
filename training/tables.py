"""Reading a CSV file into checked columns; faults are named by row and column; it must not know networks or splits."""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.errors import DatasetError

LARGEST = float(np.finfo(np.float32).max)
MAX_LABEL_CHARACTERS = 200  # as `modelstore.manifest.Label`


@dataclass(frozen=True)
class Table:
    """One data file: numeric features and the text of the class column.

    Attributes:
        file: bare file name.
        sha256: of the file's bytes.
        features: names of the feature columns, length F.
        x: finite float64 that float32 can hold, shape (N, F).
        labels: the class column as it stands in the file, length N, none empty.
    """

    file: str
    sha256: str
    features: tuple[str, ...]
    x: npt.NDArray[np.float64]
    labels: npt.NDArray[np.str_]


def read_table(folder: Path, file: str, target: str, features: Sequence[str] | None = None) -> Table:
    """Read `<folder>/<file>`.

    Args:
        folder: the data folder.
        file: bare file name.
        target: the class column.
        features: feature columns that must be there, in the order wanted; None takes all but the target.

    Raises:
        DatasetError: if the file is missing, is no CSV, lacks a column, or holds a value that is no finite number;
            names row and column.
    """
    path = folder / file
    if not path.is_file():
        raise DatasetError(file, f"no such file in {folder}; `python -m training data` writes the built-in ones")
    header = _header(path)
    names = tuple(name for name in header if name != target) if features is None else tuple(features)
    _require_columns(file, header, (*names, target))
    frame = _read_csv(path, target)
    x = np.column_stack([_numbers(file, name, frame[name]) for name in names])
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Table(file, sha256, names, x, _labels(file, target, frame[target]))


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return next((row for row in csv.reader(stream) if row), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(path.name, f"expected CSV text in UTF-8, got {error}") from error


def _require_columns(file: str, header: list[str], wanted: tuple[str, ...]) -> None:
    there = ", ".join(map(repr, header)) or "an empty file"
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise DatasetError(file, "expected column names that differ, got this one twice", column=min(twice))
    for name in header:
        if not 0 < len(name) <= MAX_LABEL_CHARACTERS:
            raise DatasetError(file, f"expected names of 1 to {MAX_LABEL_CHARACTERS} characters, got {name[:40]!r}")
    for name in wanted:
        if name not in header:
            raise DatasetError(file, f"expected this column, got {there}", column=name)
    if len(wanted) < 2:
        raise DatasetError(file, f"expected at least one feature column beside the target, got {there}")


def _read_csv(path: Path, target: str) -> pd.DataFrame:
    """Parse the file: empty cells stay text, ragged rows are refused; pandas 3.1 and later round floats exactly."""
    try:
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            frame = pd.read_csv(
                path,
                dtype={target: str},
                keep_default_na=False,
                index_col=False,
                encoding="utf-8-sig",
                low_memory=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise DatasetError(path.name, f"expected CSV rows as long as the header, got {problem}") from error
    if frame.empty:
        raise DatasetError(path.name, "expected data rows below the header, got none")
    return frame


def _numbers(file: str, name: str, column: pd.Series) -> npt.NDArray[np.float64]:
    """Return the column as float64 (N,), or name the first cell that is no finite float32."""
    numbers = pd.to_numeric(column.astype(str) if column.dtype == bool else column, errors="coerce")
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~(np.abs(values) <= LARGEST)
    if wrong.any():
        row = int(wrong.argmax())
        cell = column.iloc[row]
        raise DatasetError(
            file, f"expected a finite number (at most {LARGEST:.2g}), got {cell!s:.40}", row=row + 1, column=name
        )
    return values


def _labels(file: str, target: str, column: pd.Series) -> npt.NDArray[np.str_]:
    empty = (column.isna() | (column == "")).to_numpy()
    if empty.any():
        raise DatasetError(file, "expected a class, got an empty cell", row=int(empty.argmax()) + 1, column=target)
    return column.to_numpy(dtype=np.str_)
