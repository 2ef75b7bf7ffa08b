"""List the models that have a recipe file; the content of recipes is left to the training."""

from __future__ import annotations

import tomllib
from pathlib import Path


def early_stopping(folder: Path, model: str) -> tuple[int, float]:
    """Return `patience` and `validation_fraction` of a model's recipe; zeros where it does not say."""
    try:
        training = tomllib.loads((folder / f"{model}.toml").read_text("utf-8"))["training"]
        return int(training.get("patience", 0)), float(training.get("validation_fraction", 0))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0, 0.0  # the training says what is wrong with it


def recipes(folder: Path) -> tuple[str, ...]:
    """Return the models with a recipe: files named like their model, not variants such as iris-tutorial."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml") if _model_of(path) in (path.stem, None)))


def _model_of(recipe: Path) -> object:
    """Return the model that a recipe names, or None if it cannot be read; the training reports the fault."""
    try:
        return tomllib.loads(recipe.read_text("utf-8")).get("model")
    except (OSError, ValueError):
        return None
