"""Gather what a card says about a version, once; it must not know formats, files or HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelstore import CardStatements, Manifest

NOT_STATED = "not stated"


@dataclass(frozen=True)
class LiveFigures:
    """How right the answers of a version were, by labels that came later.

    Attributes:
        days: the labelled rows were predicted in so many days up to now.
        labels: number of these rows.
        figures: by name.
        intervals: of 95 %, of some figures.
    """

    days: int
    labels: int
    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class CardFacts:
    """Everything that a card is made of.

    Attributes:
        version: number of the version.
        manifest: of the version.
        stated: what people stated about the model, by `PUT`; what its training said completes it.
        active: whether the store marks the version as active.
        pictures: names of its PNG files.
        request: a command that asks the model for a prediction.
        live: figures of labels that came later, if any did.
    """

    version: int
    manifest: Manifest
    stated: CardStatements = field(default_factory=CardStatements)
    active: bool = False
    pictures: tuple[str, ...] = ()
    request: str = ""
    live: LiveFigures | None = None

    @property
    def title(self) -> str:
        """Return name and version."""
        return f"{self.manifest.name} version {self.version}"

    @property
    def statements(self) -> dict[str, str | None]:
        """Return the statements of people by field, for people; None where nothing is stated."""
        found = self.stated.or_else(self.manifest.card)
        texts: dict[str, str | None] = {}
        for name, value in found:
            if isinstance(value, tuple):
                texts[name] = ", ".join(value) or "none"
            else:
                texts[name] = None if value is None else str(value)
        return texts

    @property
    def predicts(self) -> str:
        """Return one sentence about what the model predicts."""
        manifest = self.manifest
        if manifest.task == "regression":
            assert manifest.target
            unit = f" in {manifest.target.unit}" if manifest.target.unit else ""
            return f"Predicts the quantity {manifest.target.name!r}{unit}."
        what = f"the class of {manifest.target.name!r}" if manifest.target else "a class"
        return f"Predicts {what}, one of {len(manifest.classes)}, with a probability for each."

    @property
    def learner(self) -> str:
        """Return the name of the learner, as the recipe has it."""
        return str(self.settings.get("learner", "mlp"))

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of the training, as the recipe has them."""
        found = self.manifest.lineage.recipe.get("training")
        return found if isinstance(found, dict) else {}

    @property
    def source(self) -> dict[str, Any]:
        """Return the data source of the recipe."""
        found = self.manifest.lineage.recipe.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def split(self) -> str:
        """Return one sentence about how the test rows were held out."""
        source = self.source
        split = source.get("split") or {}
        if source.get("test_file"):
            return f"The test rows are those of {source['test_file']}."
        share = source.get("test_fraction")
        if share is None:
            return "How the test rows were held out is not recorded."
        if split.get("time"):
            return f"The latest {share:.0%} of the rows by {split['time']!r} are the test rows."
        if split.get("group"):
            return f"About {share:.0%} of the rows are test rows; those of one {split['group']!r} stay on one side."
        if source.get("assign") == "hash":
            return f"About {share:.0%} of the rows are test rows, chosen by a hash of their content."
        stratified = ", of each class the same share" if source.get("stratify") else ""
        return f"{share:.0%} of the rows are test rows, drawn with seed {source.get('split_seed')}{stratified}."


def format_setting(value: object) -> str:
    """Return a setting for people: JSON, without quotes around texts."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
