"""Validate the settings of a training request against each other.

This module must not know files, jobs or data sets.
"""

from __future__ import annotations

from app.errors import InvalidInput, Problem
from app.jobs.records import TrainingRequest
from modelstore.overrides import (
    DEFAULT_FILTERS,
    SETTINGS,
    LearnerName,
    require_held_out_rows,
    require_image,
    require_own_settings,
    require_validation_rows,
)


def check_settings(
    request: TrainingRequest, learner: LearnerName, patience: int = 0, validation_fraction: float = 0.0
) -> None:
    """Check that the settings of a training do not contradict each other, as the training itself would.

    Args:
        request: with what it changes.
        learner: what holds without its overrides.
        patience: likewise, of an MLP.
        validation_fraction: likewise, of an MLP.

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


def wrong_field(field: str, problem: str) -> InvalidInput:
    """Return the error for one field of a training request."""
    return InvalidInput(f"{field} {problem}", (Problem(None, field, problem),))
