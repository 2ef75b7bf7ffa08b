"""Validate the settings of a training request, and those of its recipe, against each other.

This module must not know files, jobs or data sets.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from app.errors import wrong_field
from app.jobs.records import TrainingRequest
from modelstore import DecisionPolicy, Overrides, Task
from modelstore.evaluation import DECISIVE
from modelstore.overrides import DEFAULT_FILTERS, SETTINGS, LearnerName
from modelstore.records import Record
from modelstore.settings_rules import (
    require_held_out_rows,
    require_image,
    require_own_settings,
    require_search,
    require_validation_rows,
)

MIN_CLASSES = 2
LEARNER_OF_DATA: LearnerName = "auto"  # for a table without a recipe
_LEARNER_OF_RECIPE: LearnerName = "mlp"  # for a recipe that names none

R = TypeVar("R", bound=Record)


def check_with_recipe(request: TrainingRequest, recipe: dict[str, Any]) -> None:
    """Check a request against what can be read of its recipe; the training checks the rest.

    Args:
        request: a request without a data set.
        recipe: a recipe file as TOML values, of which nothing was checked.

    Raises:
        InvalidInput: naming the field.
    """
    check_gate(recipe)
    data = recipe.get("data")
    classes = data.get("classes") if isinstance(data, dict) else None
    check_task(request, _task_of(recipe), len(classes) if classes and isinstance(classes, dict) else None)
    settings = _read(Overrides, recipe.get("training"))
    if settings is not None:
        check_settings(request, settings, _read(DecisionPolicy, recipe.get("decision")))


def settings_of_data(overrides: Overrides) -> Overrides:
    """Return what is known of the settings that the training of a data set begins with."""
    learner = overrides.learner_beside(LEARNER_OF_DATA)
    if "patience" in SETTINGS[learner]:
        return Overrides(learner=learner, patience=1, validation_fraction=0.01)  # the least for any number of rows
    return Overrides(learner=learner)


def check_settings(request: TrainingRequest, settings: Overrides, decision: DecisionPolicy | None = None) -> None:
    """Check that the settings of a training do not contradict each other, as the training itself would.

    Args:
        request: the request, whose overrides replace `settings`.
        settings: those of the recipe, or of the data set; with another learner than theirs, they do not count.
        decision: that of the recipe.

    Raises:
        InvalidInput: naming the field.
    """
    overrides = request.overrides
    default = settings.learner or _LEARNER_OF_RECIPE
    learner = overrides.learner_beside(default)
    for name in overrides.to_dict():
        try:
            require_own_settings(learner, [name])
        except ValueError as error:
            raise wrong_field(f"overrides.{name}", f"must be one of the {error}") from error
    kept = settings if learner == default else Overrides()
    merged = kept.model_copy(update={name: value for name, value in overrides if value is not None})
    _check_rules(overrides, merged, learner)
    if request.workers > 1 and not merged.search:
        raise wrong_field("workers", "needs overrides.search, the number of settings that they try")
    if request.workers > 1 and request.include_feedback:
        raise wrong_field("workers", "must be 1 beside include_feedback, whose rows differ from one moment to the next")
    named = _first_said(overrides, "validation_fraction", "learner")
    for policy, field in ((decision, named), (request.decision, "decision.maximise")):
        if policy and policy.maximise:
            try:
                require_held_out_rows(learner, merged.validation_fraction or 0.0)
            except ValueError as error:
                raise wrong_field(field, f"needs {error}; set overrides.validation_fraction") from error


def _check_rules(overrides: Overrides, merged: Overrides, learner: LearnerName) -> None:
    """Check the rules between settings; those that are not set have their defaults.

    Raises:
        InvalidInput: naming the override that breaks the rule.
    """
    try:
        fields = ("budget_s", "search")
        require_search(learner, merged.search or 0, merged.budget_s)
        fields = ("image", "filters")
        require_image(learner, merged.image, merged.filters or DEFAULT_FILTERS)
        fields = ("patience", "validation_fraction")
        require_validation_rows(merged.patience or 0, merged.validation_fraction or 0.0)
    except ValueError as error:
        raise wrong_field(_first_said(overrides, *fields), f"needs {error}") from error


def _first_said(overrides: Overrides, *names: str) -> str:
    """Return the field of the first of these settings that is named, else of the first."""
    return "overrides." + next((name for name in names if getattr(overrides, name) is not None), names[0])


def check_task(request: TrainingRequest, task: Task | None, classes: int | None = None) -> None:
    """Check that class weights and policies fit the task and number of classes, if known.

    Raises:
        InvalidInput: naming the field.
    """
    is_quantity = task == "regression"
    if is_quantity and request.overrides.class_weights == "balanced":
        raise wrong_field("overrides.class_weights", "is for classes; a regression has none")
    if request.abstain and task and (problem := request.abstain.misfit(0 if is_quantity else MIN_CLASSES)):
        raise wrong_field("abstain", f"must have {problem}")
    known = 0 if is_quantity else classes
    if request.decision and known is not None and (problem := request.decision.misfit(known)):
        raise wrong_field("decision", f"must be {problem}")


def check_gate(recipe: dict[str, Any]) -> None:
    """Check that the gate of a recipe decides by a metric of the recipe's task, as far as the recipe tells the task.

    Args:
        recipe: a recipe file as TOML values, of which nothing was checked.

    Raises:
        InvalidInput: naming the model, whose recipe it is, with the metrics that exist.
    """
    gate = recipe.get("gate")
    if not isinstance(gate, dict) or "metric" not in gate:
        return
    task = _task_of(recipe)
    right = [metric for of, metric in DECISIVE.items() if task in (of, None)]
    if gate["metric"] not in right:
        known = " and ".join(f"{metric} of a {of}" for of, metric in DECISIVE.items())
        expected = f"must be {' or '.join(right)}" + (f", since its task is {task}" if task else "")
        raise wrong_field("model", f"has a recipe whose gate.metric {expected}; the metrics are {known}")


def _task_of(recipe: dict[str, Any]) -> Task | None:
    """Return the task that a recipe names, or that its classes or the metric of its gate tell."""
    data, gate = (part if isinstance(part, dict) else {} for part in (recipe.get("data"), recipe.get("gate")))
    types = data.get("types")
    kind = types.get(str(data.get("target"))) if isinstance(types, dict) else None
    told: list[Task] = [task for task in DECISIVE if task == data.get("task")]
    told += ["classification"] if data.get("classes") or kind in ("categorical", "boolean") else []
    told += [task for task, metric in DECISIVE.items() if metric == gate.get("metric")]
    return next(iter(told), None)


def _read(record: type[R], content: object) -> R | None:
    """Return a part of a recipe; None if it is absent or wrong."""
    try:  # through JSON, as the training does it: strict records take arrays as tuples only there
        return record.model_validate_json(json.dumps(content, default=str))
    except ValidationError:
        return None
