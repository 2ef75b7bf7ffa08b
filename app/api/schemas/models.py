"""Query parameters and response bodies of the model routes.

This module must not know where the data come from.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field

from modelstore import (
    AbstainPolicy,
    AnyEvaluation,
    Conformal,
    Decision,
    Dialect,
    Feature,
    Importance,
    LeaderBoard,
    LeftOut,
    Manifest,
    Target,
    Task,
)
from modelstore.intervals import wilson
from modelstore.typical import RawValue, typical_row

MAX_VERSION = 999_999_999

MissingValues = Annotated[tuple[str, ...], Field(serialization_alias="missingValues")]
State = Literal["ready", "degraded", "unavailable"]


class Example(BaseModel):
    """An example request that works unchanged."""

    method: Literal["POST"] = "POST"
    path: str
    content_type: str = "application/json"
    body: dict[str, list[list[RawValue] | dict[str, RawValue]]]


class EngineInfo(BaseModel):
    """The engine for batches of up to `up_to_rows` rows, chosen by measurement when the version was loaded."""

    up_to_rows: int
    engine: str
    measured_us: float


class Coverage(BaseModel):
    """How many test rows have their truth in the set, or interval, of one level.

    Attributes:
        share: share of the rows.
        interval: 95 % interval of the share.
    """

    share: float
    rows: int
    interval: tuple[float, float]


class ConformalInfo(BaseModel):
    """Whose scores sets and intervals follow from.

    Attributes:
        score: `lac` of classes; `absolute` or `scaled` by a spread, of a quantity.
        rows: number of rows with scores.
        source: `split`: rows that had no other use; `out_of_fold`: training rows, each answered by a model that was
            fitted without it; `validation`: rows that chose when to stop.
        guarantee: `marginal`, `class` or `approximate`, see docs/trust.md.
        test_coverage: coverage of test rows by level.
    """

    score: Literal["lac", "absolute", "scaled"]
    rows: int
    source: Literal["split", "out_of_fold", "validation"]
    guarantee: Literal["marginal", "class", "approximate"]
    test_coverage: dict[str, Coverage]

    @classmethod
    def of(cls, conformal: Conformal | None) -> Self | None:
        """Return what a manifest's scores are, without the scores."""
        if conformal is None:
            return None
        coverage = {
            level: Coverage(share=hit / rows, rows=rows, interval=wilson(hit / rows, rows))
            for level, (hit, rows) in conformal.test_coverage.items()
        }
        shared = conformal.model_dump(include={"score", "rows", "source", "guarantee"})
        return cls(**shared, test_coverage=coverage)


class ModelInfo(BaseModel):
    """One model.

    Attributes:
        state: `ready`: the active version serves, or the newest if none is active; `degraded`: another version serves;
            `unavailable`: no version can serve.
        reason: why the model is not ready.
        active_version: version marked as active in the store.
        serving_version: version that answers predictions now.
        shadow_version: version whose answers are only compared with those of the active one, if there is one.
        target: column that it predicts, in versions from format 2 on.
        features: columns of a row in their order, each with its type, range, and values with the number of training
            rows; the position of a category is its code in float32 bodies.
        left_out: columns of the training file that are not used and are ignored in requests, each with the reason.
        missing_values: texts that stand for a missing value.
        strict: whether rows with unusual values are refused, unless a request says otherwise.
        receipts: whether each row of an answer has a receipt, unless `X-Prediction-Receipt: 0` says otherwise.
        dialects: how each file of its training is written, by file name.
        leaders: the serving version beside its members and baselines on the same test rows.
        decision: how the label is chosen, if it is not the most probable class.
        temperature: divisor of the logits inside the model, if it was calibrated.
        conformal: what prediction sets and intervals follow from, and how often they held the truth of test rows.
        abstain: when nothing is decided for a row, unless a request says otherwise.
        importance: by how much the model is worse on test rows where a column is shuffled, the most important first.
        warnings: warnings of its training, and anything unusual about how it serves, for people.
    """

    name: str
    description: str
    state: State
    reason: str | None
    active_version: int | None
    serving_version: int | None
    shadow_version: int | None
    versions: tuple[int, ...]
    device: str | None
    engines: list[EngineInfo]
    task: Task | None
    target: Target | None
    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    left_out: tuple[LeftOut, ...]
    missing_values: MissingValues
    strict: bool
    receipts: bool
    dialects: dict[str, Dialect]
    metrics: dict[str, AnyEvaluation]
    leaders: LeaderBoard | None
    decision: Decision | None
    temperature: float | None
    conformal: ConformalInfo | None
    abstain: AbstainPolicy | None
    importance: Importance | None
    warnings: tuple[str, ...]
    example: Example | None


class ModelList(BaseModel):
    """All models and the device they run on."""

    device: str
    models: list[ModelInfo]


def example_of(manifest: Manifest, prefix: str = "") -> Example:
    """Return an example request that works unchanged, with a typical row, by name if any column is no number."""
    row = typical_row(manifest)
    named = any(feature.type != "numeric" for feature in manifest.features)
    return Example(path=f"{prefix}/predict/{manifest.name}", body={"instances": [row if named else [*row.values()]]})
