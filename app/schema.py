"""Input and output schema of a model version, prepared for the hot path.

A row has F features and W cells: one cell for each feature, two for a date (`modelstore/features.py`). This module must
not know torch or HTTP.
"""

from __future__ import annotations

import difflib
import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from modelstore import (
    MISSING_VALUES,
    AbstainPolicy,
    BooleanFeature,
    DatetimeFeature,
    Decision,
    Dialect,
    Feature,
    Manifest,
    NumericFeature,
    Task,
)
from modelstore.dialect import USUAL
from modelstore.reading import column_name, find_repeated

Float32 = NDArray[np.float32]
AnswerKind = Literal["classification", "regression", "decision"]

EPOCH_DAY = date(1970, 1, 1).toordinal()  # days of a date are counted from here
SECONDS_OF_A_DAY = 86_400

_LIKENESS = 0.6
_MOST_COMPARED = 1000  # names; each comparison takes some microseconds
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, eq=False)
class ModelSchema:
    """Names, types and ranges of the features, and what the model answers.

    Attributes:
        features: feature names in column order, length F.
        columns: feature name to position in `features`.
        types: description of each feature, length F.
        starts: first cell of each feature, length F.
        low: smallest value of each cell that gets no warning, shape (W,), float32.
        high: largest value of each cell that gets no warning, shape (W,), float32; for a category, its last code.
        may_lack: cells that get no warning if they are NaN, shape (W,).
        takes_missing: whether a row may lack values; those of format 1 may not.
        missing_values: texts that stand for a missing value.
        optional: names of the features that a request need not name; their values are missing then.
        strict: whether rows with unusual values are refused, unless a request says otherwise.
        receipts: whether each row of an answer has a receipt, unless a request says otherwise.
        ignored: names of columns that a request may carry though the model does not use them: those that were left out
            in training, and the target.
        dialect: how the training file is written; rows of it are valid CSV requests as they stand there.
        task: what the model answers: a class or a quantity.
        classes: class names in output order, length K; empty for a quantity.
        all_numbers: whether all features are numbers, so that a row of values is its own row of cells.
        decision: how a class is chosen, where it is not the most probable one.
        kind: what an answer holds; known in advance, so that requests need not look.
        abstain: when nothing is decided for a row, unless a request says otherwise.
    """

    name: str
    version: int
    features: tuple[str, ...]
    columns: dict[str, int]
    types: tuple[Feature, ...]
    starts: tuple[int, ...]
    low: Float32
    high: Float32
    may_lack: NDArray[np.bool_]
    takes_missing: bool
    missing_values: frozenset[str]
    optional: frozenset[str]
    strict: bool
    receipts: bool
    ignored: frozenset[str]
    dialect: Dialect
    task: Task
    classes: tuple[str, ...]
    all_numbers: bool
    decision: Decision | None
    kind: AnswerKind
    abstain: AbstainPolicy | None

    @property
    def width(self) -> int:
        """Return the number of cells of a row, W."""
        return len(self.low)

    @property
    def outputs(self) -> int:
        """Return the number of outputs of a row, K."""
        return len(self.classes) or 1

    @property
    def expectation(self) -> str:
        """Description of a valid row, for error messages."""
        return f"{self.name} expects {len(self.features)} features per row; see GET /models/{self.name}"

    def spell_as_features(self, names: Iterable[str]) -> list[str]:
        """Return the names, with feature names in the model's spelling.

        A name matches a feature if they differ only in surrounding blanks or in the composition of accents. An exact
        match wins, because the feature names of an old version may differ in nothing else.
        """
        features = _by_column_name(self)
        return [name if name in self.columns else features.get(known := column_name(name), known) for name in names]

    def is_unknown(self, name: str) -> bool:
        """Return whether a recognised name is neither a feature nor a column that is ignored."""
        return name not in self.columns and name not in self.ignored

    def describe_unknown(self, name: str) -> tuple[str, str]:
        """Return an unknown name as it may be shown, and what is wrong with it, with the nearest feature if any."""
        known = {feature.casefold(): feature for feature in self.features[:_MOST_COMPARED]}
        nearest = difflib.get_close_matches(name[:_SHOWN_CHARACTERS].casefold(), known, n=1, cutoff=_LIKENESS)
        meant = f"; did you mean {known[nearest[0]]!r}?" if nearest else ""
        return make_printable(name), f"is not a column of the model{meant}"

    @classmethod
    def of(cls, manifest: Manifest, version: int) -> Self:
        """Create the schema of a published version from its manifest."""
        ignored = [column.name for column in manifest.left_out]
        return cls.of_features(
            manifest.name,
            version,
            manifest.features,
            manifest.classes,
            task=manifest.task,
            takes_missing=manifest.takes_missing,
            missing_values=manifest.missing_values,
            strict=manifest.strict,
            receipts=manifest.receipts,
            ignored=[*ignored, manifest.target.name] if manifest.target else ignored,
            decision=manifest.decision,
            abstain=manifest.abstain,
            dialect=manifest.dialect,
        )

    @classmethod
    def of_features(
        cls,
        name: str,
        version: int,
        types: Sequence[Feature],
        classes: Sequence[str],
        *,
        task: Task = "classification",
        takes_missing: bool = True,
        missing_values: Iterable[str] = MISSING_VALUES,
        strict: bool = False,
        receipts: bool = False,
        ignored: Iterable[str] = (),
        decision: Decision | None = None,
        abstain: AbstainPolicy | None = None,
        dialect: Dialect = USUAL,
    ) -> Self:
        """Create a schema from described features; see the attributes."""
        features = tuple(feature.name for feature in types)
        limits = [cell for feature in types for cell in _limits(feature)]
        return cls(
            name=name,
            version=version,
            features=features,
            columns={feature: column for column, feature in enumerate(features)},
            types=tuple(types),
            starts=tuple(itertools.accumulate((feature.width for feature in types[:-1]), initial=0)),
            low=np.array([low for low, _, _ in limits], dtype=np.float32),
            high=np.array([high for _, high, _ in limits], dtype=np.float32),
            may_lack=np.array([may_lack for _, _, may_lack in limits]),
            takes_missing=takes_missing,
            missing_values=frozenset(missing_values),
            optional=frozenset(feature.name for feature in types if takes_missing and not feature.required),
            strict=strict,
            receipts=receipts,
            ignored=frozenset(map(column_name, ignored)) - set(features),
            dialect=dialect,
            task=task,
            classes=tuple(classes),
            all_numbers=all(feature.type == "numeric" for feature in types),
            decision=decision,
            kind=answer_kind(task, decision),
            abstain=abstain,
        )


def answer_kind(task: Task, decision: Decision | None) -> AnswerKind:
    """Return what answers of a task hold, with a decision or without."""
    return task if decision is None else "decision"


def day_of(text: str) -> int:
    """Return the days from 1970-01-01 to a time in ISO 8601."""
    return datetime.fromisoformat(text).toordinal() - EPOCH_DAY


def _limits(feature: Feature) -> list[tuple[float, float, bool]]:
    """Return the smallest and largest value of each cell of a feature, and whether training rows lacked it.

    A date is judged by its day alone.
    """
    may_lack = feature.missing > 0
    if isinstance(feature, NumericFeature):
        return [(feature.min, feature.max, may_lack)]
    if isinstance(feature, DatetimeFeature):
        return [(day_of(feature.min), day_of(feature.max), may_lack), (0, SECONDS_OF_A_DAY, True)]
    if isinstance(feature, BooleanFeature):
        return [(0, 1, may_lack)]
    return [(0, len(feature.categories) - 1, may_lack)]


def make_printable(name: str) -> str:
    """Return a name that a client sent, cut and without characters that cannot be printed."""
    cut = name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "\N{HORIZONTAL ELLIPSIS}"
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)


@functools.lru_cache(maxsize=256)
def _by_column_name(schema: ModelSchema) -> dict[str, str]:
    names = [column_name(feature) for feature in schema.features]
    unclear = find_repeated(names)
    return {name: feature for name, feature in zip(names, schema.features, strict=True) if name not in unclear}
