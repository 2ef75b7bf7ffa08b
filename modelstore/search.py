"""The record of a search for settings.

It must not know how they are drawn or judged.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from modelstore.records import Count, Finite, Record


class Trial(Record):
    """Settings that were tried.

    Attributes:
        settings: what was changed of the settings of the training; empty for these themselves.
        loss: of rows that the models had not seen; absent if no model could be fitted.
    """

    settings: dict[str, object]
    loss: Finite | None = None

    @property
    def text(self) -> str:
        """Return the settings for people; those of the learner itself are in a field of its name."""
        flat: dict[str, object] = {}
        for name, value in self.settings.items():
            flat |= value if isinstance(value, dict) else {name: value}
        return (
            ", ".join(f"{name} {_format_value(value)}" for name, value in flat.items())
            or "those of the training itself"
        )


class Search(Record):
    """All settings that were tried, in the order in which they were drawn.

    Attributes:
        wanted: how many settings were asked for.
        metric: what the losses are, smaller is better.
        judged_by: the rows that judged, as a phrase for people.
        trials: the settings of the training first.
        best: position in `trials` of the settings with which the model was then trained.
    """

    wanted: Count
    metric: Literal["log_loss", "rmse"]
    judged_by: str
    trials: Annotated[tuple[Trial, ...], Field(min_length=1)]
    best: Count

    @model_validator(mode="after")
    def _has_best(self) -> Self:
        if self.best >= len(self.trials) or self.trials[self.best].loss is None:
            raise ValueError("the best settings must be among those with a loss")
        return self


def _format_value(value: object) -> str:
    if isinstance(value, list):
        return "-".join(map(str, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
