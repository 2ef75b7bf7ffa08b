"""The settings from which a search draws, of each learner that has such.

It must not know how they are judged.

Source of the ranges of RealMLP: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by Default: Strong Pre-Tuned MLPs
and Boosted Trees on Tabular Data", NeurIPS 2024, appendix C; its rates of quantities are five times as large, as the
default one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelstore import Task
from modelstore.overrides import LearnerName

if TYPE_CHECKING:
    from optuna import Trial

WIDTHS = ("32", "64", "128", "256", "64,32", "128,64", "256,128", "128,128,128")
REALMLP_WIDTHS = ("256,256,256", "128,128,128", "64,64,64,64,64", "512")
RATE_OF_VALUES = 5.0


def draw(learner: LearnerName, task: Task, trial: Trial) -> dict[str, object]:
    """Draw settings of a learner that can be searched, as JSON values; whatever is not drawn stays as it is."""
    if learner == "mlp":
        return _mlp(trial)
    return {"realmlp": _realmlp(trial, task)} if learner == "realmlp" else {"trees": _trees(trial)}


def _mlp(trial: Trial) -> dict[str, object]:
    return {
        "hidden": _widths(trial, WIDTHS),
        "lr": trial.suggest_float("lr", 1e-3, 3e-2, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True),
        "activation": trial.suggest_categorical("activation", ("relu", "gelu", "tanh")),
    }


def _realmlp(trial: Trial, task: Task) -> dict[str, object]:
    factor = RATE_OF_VALUES if task == "regression" else 1.0
    return {
        "hidden": _widths(trial, REALMLP_WIDTHS),
        "lr": trial.suggest_float("lr", 0.02 * factor, 0.3 * factor, log=True),
        "dropout": trial.suggest_categorical("dropout", (0.0, 0.15, 0.3)),
        "weight_decay": trial.suggest_categorical("weight_decay", (0.0, 0.02)),
        "frequency": trial.suggest_float("frequency", 0.05, 0.5, log=True),
    }


def _trees(trial: Trial) -> dict[str, object]:
    return {
        "lr": trial.suggest_float("lr", 0.02, 0.3, log=True),
        "leaves": trial.suggest_int("leaves", 4, 64, log=True),
        "depth": trial.suggest_int("depth", 2, 8),
        "leaf_rows": trial.suggest_int("leaf_rows", 2, 100, log=True),
        "l2": trial.suggest_float("l2", 1e-3, 30.0, log=True),
        "columns": trial.suggest_float("columns", 0.3, 1.0),
    }


def _widths(trial: Trial, choices: tuple[str, ...]) -> list[int]:
    return [int(width) for width in trial.suggest_categorical("hidden", choices).split(",")]
