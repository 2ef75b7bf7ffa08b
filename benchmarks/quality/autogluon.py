"""AutoGluon in an environment of its own: rows go there as CSV, answers come back as arrays."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.data.splits import Splits

SCRIPT = Path(__file__).with_name("autogluon_fit.py")
TARGET = "y"


class AutoGluonFailed(Exception):
    """AutoGluon ended without answers."""


def fit(
    splits: Splits, python: str, folder: Path, *, budget_s: float, threads: int
) -> tuple[npt.NDArray[Any], float, float, float]:
    """Train there and return the answers to the test rows, seconds, processor seconds, and microseconds of a row.

    Args:
        splits: the rows.
        python: its Python.
        folder: an empty folder for the files.
        budget_s: seconds that it may train.
        threads: cores that it may use.

    Raises:
        AutoGluonFailed: with the last line that it said.
    """
    for name, rows in (("train", splits.train), ("test", splits.test)):
        to_frame(rows).to_csv(folder / f"{name}.csv", index=False)
    order = {"budget_s": budget_s, "threads": threads, "classes": len(splits.train.classes)}
    (folder / "order.json").write_text(json.dumps(order), "utf-8")
    # isolated, because this module beside the script has the name of the library
    done = subprocess.run([python, "-I", str(SCRIPT), str(folder)], check=False, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise AutoGluonFailed((done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    figures = json.loads((folder / "figures.json").read_text("utf-8"))
    return np.load(folder / "answers.npy"), figures["train_s"], figures["cpu_s"], figures["row_us"]


def to_frame(rows: Dataset) -> pd.DataFrame:
    """Return rows with values that a reader of CSV takes for what they are, and the target as the column `y`.

    A text begins with "=", so that it is never read as a number; a date is written in ISO 8601.
    """
    frame = pd.DataFrame({TARGET: rows.y})
    for place, (column, cells) in enumerate(zip(rows.columns, cells_of(rows.columns), strict=True)):
        values = rows.x[:, cells].astype(np.float64)
        if column.type == "datetime":
            seconds = values[:, 0] * 86_400 + values[:, 1]
            shown: Any = pd.to_datetime(pd.Series(seconds), unit="s").dt.strftime("%Y-%m-%d %H:%M:%S")
        elif column.texts:
            texts = (*column.texts, "(other)")
            shown = [None if np.isnan(code) else f"={texts[int(code)]}" for code in values[:, 0]]
        else:
            shown = values[:, 0]
        frame[f"c{place}"] = shown
    return frame
