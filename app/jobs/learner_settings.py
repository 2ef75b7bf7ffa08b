"""Validate the settings of a training request, and those of its recipe, against each other.

This module must not know files, jobs or data sets.
"""

from __future__ import annotations

from typing import Any

from app.errors import wrong_field
from app.jobs.records import TrainingRequest
from modelstore.evaluation import DECISIVE
from modelstore.overrides import DEFAULT_FILTERS, SETTINGS, LearnerName
from modelstore.settings_rules import (
    require_held_out_rows,
    require_image,
    require_own_settings,
    require_search,
    require_validation_rows,
)


def check_settings(
    request: TrainingRequest, learner: LearnerName, patience: int = 0, validation_fraction: float = 0.0
) -> None:
    """Check that the settings of a training do not contradict each other, as the training itself would.

    `learner` and, for an MLP, `patience` and `validation_fraction` are what holds without the request's overrides.

    Raises:
        InvalidInput: naming the field.
    """
    overrides = request.overrides
    chosen = overrides.learner_beside(learner)
    for name in overrides.to_dict():
        try:
            require_own_settings(chosen, [name])
        except ValueError as error:
            raise wrong_field(f"overrides.{name}", f"must be one of the {error}") from error
    try:
        require_search(chosen, overrides.search or 0, overrides.budget_s)
    except ValueError as error:
        raise wrong_field("overrides.budget_s", f"needs {error}") from error
    if request.workers > 1 and not overrides.search:
        raise wrong_field("workers", "needs overrides.search, the number of settings that they try")
    if request.workers > 1 and request.include_feedback:
        raise wrong_field("workers", "must be 1 beside include_feedback, whose rows differ from one moment to the next")
    if overrides.image or chosen != learner:
        try:
            require_image(chosen, overrides.image, overrides.filters or DEFAULT_FILTERS)
        except ValueError as error:
            raise wrong_field("overrides.image", f"needs {error}") from error
    if "patience" not in SETTINGS[chosen]:
        patience, validation_fraction = 0, 0.0
    if overrides.validation_fraction is not None:
        validation_fraction = overrides.validation_fraction
    try:
        require_validation_rows(patience if overrides.patience is None else overrides.patience, validation_fraction)
    except ValueError as error:
        field = "validation_fraction" if overrides.patience is None else "patience"
        raise wrong_field(f"overrides.{field}", f"needs {error}") from error
    if request.decision and request.decision.maximise:
        try:
            require_held_out_rows(chosen, validation_fraction)
        except ValueError as error:
            raise wrong_field("decision.maximise", f"needs {error}; set overrides.validation_fraction") from error


def check_gate(recipe: dict[str, Any]) -> None:
    """Check that the gate of a recipe decides by a metric of the recipe's task, as far as the recipe tells the task.

    Args:
        recipe: a recipe file as TOML values, of which nothing was checked.

    Raises:
        InvalidInput: naming the model, whose recipe it is, with the metrics that exist.
    """
    gate, data = recipe.get("gate"), recipe.get("data")
    if not isinstance(gate, dict) or not isinstance(data, dict) or "metric" not in gate:
        return
    types = data.get("types")
    kind = types.get(str(data.get("target"))) if isinstance(types, dict) else None
    is_classes = bool(data.get("classes")) or kind in ("categorical", "boolean")
    task = str(data.get("task") or "classification" * is_classes)
    right = [metric for of, metric in DECISIVE.items() if of == task] or list(DECISIVE.values())
    if gate["metric"] not in right:
        known = " and ".join(f"{metric} of a {of}" for of, metric in DECISIVE.items())
        expected = f"must be {' or '.join(right)}" + (f", since its task is {task}" if task in DECISIVE else "")
        raise wrong_field("model", f"has a recipe whose gate.metric {expected}; the metrics are {known}")
