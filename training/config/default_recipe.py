"""Make a default recipe for a data file that has none.

It must not know the file's content, except for the number of rows, or torch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from modelstore import DataOptions, Dialect, Overrides, check_name
from modelstore.overrides import DEFAULT_FILTERS, LearnerName
from training.config.learner_settings import TrainingSettings
from training.config.recipe import DataSource, GateRule, Recipe, recipe_error
from training.data.pieces import count_rows
from training.errors import DatasetError

LEARNER: LearnerName = "auto"
HIDDEN = (64, 32)
LEARNING_RATE = 0.003


@dataclass(frozen=True)
class _Size:
    """Settings for files of at most `rows` rows, chosen by comparison with logistic regression: docs/decisions.md."""

    rows: float
    batch_size: int
    epochs: int
    patience: int
    weight_decay: float
    test_fraction: float
    validation_fraction: float


SIZES = (
    _Size(5_000, 32, 200, 20, 0.003, 0.2, 0.15),
    _Size(100_000, 256, 100, 10, 0.0003, 0.2, 0.15),
    _Size(1_000_000, 1024, 40, 5, 0.0003, 0.1, 0.05),
    _Size(float("inf"), 4096, 20, 3, 0.0003, 0.02, 0.01),
)


def recipe_for_data(
    path: Path,
    target: str,
    *,
    model: str | None = None,
    features: Sequence[str] = (),
    options: DataOptions | None = None,
    dialect: Dialect | None = None,
    overrides: Overrides | None = None,
) -> Recipe:
    """Return a recipe with settings for the number of rows of the file, overrides applied.

    Args:
        path: the file; its folder is the data folder.
        target: the column to predict.
        model: name of the model; by default the file name, reduced to the characters of a model name.
        features: the columns to learn from; empty means all but the target.
        options: what else is said about the table.
        dialect: how the file is written; it is stored in the recipe, where None and what it leaves open are detected.
        overrides: settings that replace the default ones.

    Raises:
        InvalidName: if `model` is not a valid name.
        DatasetError: if there is no such file.
        RecipeError: if the names do not fit together.
        MissingExtra: if a library is missing that reads such files.
        OSError: if the file cannot be read.
    """
    name = check_name(model) if model else name_for(path)
    if not path.is_file():
        raise DatasetError(path.name, f"no such file in {path.parent}")
    rows = count_rows(path, SIZES[-2].rows, dialect)
    overrides = overrides or Overrides()
    learner = overrides.learner_beside(LEARNER)
    try:
        made = Recipe(
            model=name,
            description=f"Predicts {target!r} from other columns of {path.name}; made without a recipe.",
            data=_source(path, target, features, options=options, dialect=dialect, rows=rows),
            gate=GateRule(margin_errors=1.0),
            training=_settings(rows, learner, overrides),
        )
    except ValidationError as error:
        raise recipe_error(path.name, error, Recipe) from error
    return made.with_overrides(overrides)


def _source(
    path: Path,
    target: str,
    features: Sequence[str],
    *,
    options: DataOptions | None,
    dialect: Dialect | None,
    rows: float,
) -> DataSource:
    return DataSource(
        file=path.name,
        target=target,
        features=tuple(features),
        **dict(options or DataOptions()),
        test_fraction=_size(rows).test_fraction,
        assign="hash",
        dialect=dialect if dialect != Dialect() else None,
    )


def network_settings(rows: float) -> TrainingSettings:
    """Return the settings of an MLP for a table of this number of rows, seed 0."""
    size = _size(rows)
    return TrainingSettings(
        learner="mlp",
        hidden=HIDDEN,
        epochs=size.epochs,
        batch_size=size.batch_size,
        lr=LEARNING_RATE,
        weight_decay=size.weight_decay,
        schedule="cosine",
        patience=size.patience,
        validation_fraction=size.validation_fraction,
    )


def _settings(rows: float, learner: LearnerName, overrides: Overrides) -> TrainingSettings:
    """Return the settings of a learner for a table of this number of rows; those of images name their size at once."""
    if learner not in ("mlp", "cnn"):
        return TrainingSettings(learner=learner)
    images = {"learner": learner, "image": overrides.image, "filters": overrides.filters or DEFAULT_FILTERS}
    return TrainingSettings.model_validate({**dict(network_settings(rows)), **(images if learner == "cnn" else {})})


def _size(rows: float) -> _Size:
    return next(size for size in SIZES if rows <= size.rows)


def name_for(path: Path) -> str:
    """Return a valid model name made from a file name: `Churn 2024.csv` gives `churn-2024`."""
    name = re.sub(r"[^a-z0-9_]+", "-", path.stem.lower()).strip("-_")
    return name[:64] or "model"
