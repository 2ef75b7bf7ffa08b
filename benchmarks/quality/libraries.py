"""Boosting libraries with their defaults, each imported when it is measured (extra `bench`)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from modelstore import Task

Make = Callable[[Task, int, int, int], Any]
"""Function from task, seed, threads and number of categorical columns, which come first, to an unfitted model."""


def make_lightgbm(task: Task, seed: int, threads: int, _categories: int) -> Any:
    """Return LightGBM, which takes columns of a category type as categories."""
    return _class("lightgbm", "LGBM", task)(random_state=seed, n_jobs=threads, verbose=-1)


def make_xgboost(task: Task, seed: int, threads: int, _categories: int) -> Any:
    """Return XGBoost, told to take columns of a category type as categories."""
    return _class("xgboost", "XGB", task)(random_state=seed, n_jobs=threads, enable_categorical=True)


def make_catboost(task: Task, seed: int, threads: int, categories: int) -> Any:
    """Return CatBoost, told which columns are categories, and to leave no files."""
    options = {"random_seed": seed, "thread_count": threads, "cat_features": list(range(categories))}
    return _class("catboost", "CatBoost", task)(**options, verbose=False, allow_writing_files=False)


def to_categories(inputs: npt.NDArray[np.float32], codes: Sequence[int]) -> pd.DataFrame:
    """Return the inputs (N, C) as a frame; the first columns are categories, each with its number of codes."""
    frame = pd.DataFrame({f"c{place}": column for place, column in enumerate(inputs.T)})
    for place, count in enumerate(codes):
        known = inputs[:, place]
        filled = np.where(np.isnan(known), -1, known).astype(np.int64)  # -1 is missing to pandas
        frame[f"c{place}"] = pd.Categorical.from_codes(filled, categories=pd.RangeIndex(count))
    return frame


def to_texts(inputs: npt.NDArray[np.float32], codes: Sequence[int]) -> pd.DataFrame:
    """Return the inputs (N, C) as a frame; the first columns are texts, "nan" for missing."""
    frame = pd.DataFrame({f"c{place}": column for place, column in enumerate(inputs.T)})
    for place in range(len(codes)):
        frame[f"c{place}"] = pd.Series(inputs[:, place].astype(str), dtype=object)
    return frame


MODELS: Mapping[str, Make] = {"lightgbm": make_lightgbm, "xgboost": make_xgboost, "catboost": make_catboost}
FRAMES = {"lightgbm": to_categories, "xgboost": to_categories, "catboost": to_texts}


def _class(library: str, prefix: str, task: Task) -> Any:
    return getattr(
        importlib.import_module(library), prefix + ("Classifier" if task == "classification" else "Regressor")
    )
