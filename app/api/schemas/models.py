"""Query parameters and response bodies of the model routes.

This module must not know where the data come from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import without_null
from modelstore import (
    AnyBaseline,
    AnyEvaluation,
    Decision,
    Dialect,
    Feature,
    GateReport,
    LeaderBoard,
    LeftOut,
    Lineage,
    Manifest,
    Target,
    Task,
)
from modelstore.typical import RawValue, typical_row

MAX_VERSION = 999_999_999

MissingValues = Annotated[tuple[str, ...], Field(serialization_alias="missingValues")]
State = Literal["ready", "degraded", "unavailable"]


class HistoryQuery(BaseModel, extra="forbid"):
    """The requested part of a history; unknown parameters are refused."""

    before: Annotated[int | None, Field(ge=1, le=MAX_VERSION, json_schema_extra=without_null)] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class CompareQuery(BaseModel, extra="forbid"):
    """The two versions to compare."""

    versions: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8},[1-9][0-9]{0,8}$", examples=["3,7"])]


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
    measured_us: float | None


class ModelInfo(BaseModel):
    """One model.

    Attributes:
        state: `ready`: the active version serves, or the newest if none is active; `degraded`: another version serves;
            `unavailable`: no version can serve.
        reason: why the model is not ready.
        active_version: version marked as active in the store.
        serving_version: version that answers predictions now.
        target: column that it predicts, in versions from format 2 on.
        features: columns of a row in their order, each with its type, range, and values with the number of training
            rows; the position of a category is its code in float32 bodies.
        left_out: columns of the training file that are not used and are ignored in requests, each with the reason.
        missing_values: texts that stand for a missing value.
        strict: whether rows with unusual values are refused, unless a request says otherwise.
        dialects: how each file of its training is written, by file name.
        leaders: the serving version beside its members and baselines on the same test rows.
        decision: how the label is chosen, if it is not the most probable class.
        temperature: divisor of the logits inside the model, if it was calibrated.
        warnings: warnings of its training, and anything unusual about how it serves, for people.
    """

    name: str
    description: str
    state: State
    reason: str | None
    active_version: int | None
    serving_version: int | None
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
    dialects: dict[str, Dialect]
    metrics: dict[str, AnyEvaluation]
    leaders: LeaderBoard | None
    decision: Decision | None
    temperature: float | None
    warnings: tuple[str, ...]
    example: Example | None


class VersionInfo(BaseModel):
    """One version: its manifest without the golden rows, and its state in this service."""

    name: str
    version: int
    state: Literal["serving", "stored", "refused"]
    reason: str | None
    active: bool
    created: datetime | None = None
    description: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    task: Task | None = None
    target: Target | None = None
    classes: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    missing_values: MissingValues = ()
    strict: bool = False
    metrics: dict[str, AnyEvaluation] = {}
    baselines: dict[str, AnyBaseline] = {}
    leaders: LeaderBoard | None = None
    decision: Decision | None = None
    temperature: float | None = None
    gate: GateReport | None = None
    warnings: tuple[str, ...] = ()
    lineage: Lineage | None = None


class Figures(BaseModel):
    """Metrics of a version of a classification on one split; log loss in nats."""

    rows: int
    accuracy: float
    macro_f1: float
    log_loss: float
    brier: float
    calibration_error: float
    calibration_band: tuple[float, float] | None = None
    roc_auc: float | None = None
    average_precision: float | None = None


class ValueFigures(BaseModel):
    """Metrics of a version of a regression on one split, in the unit of the target."""

    rows: int
    rmse: float
    mae: float
    r2: float
    median_absolute_error: float


class VersionBrief(BaseModel):
    """One version in the history of a model.

    Attributes:
        active: whether the store marks this version as active.
        previous: whether this version was active before the present one.
        serving: whether this version answers predictions now.
        reason: why it cannot serve, if known.
        metrics: metrics by split, as in the manifest but without confusion matrix and per-class report.
        parent: version that was active when this one was trained.
        job: id of the training that published it.
        data_sha256: hash of each file that it was trained on, by file name.
        seed: random seed of its training.
    """

    version: int
    created: datetime | None
    active: bool
    previous: bool
    serving: bool
    reason: str | None
    metrics: dict[str, Figures | ValueFigures]
    gate: GateReport | None
    parent: int | None
    job: str | None
    data_sha256: dict[str, str]
    seed: int | None


class VersionHistory(BaseModel):
    """Versions of a model, newest first; `next` links to older versions, if there are any."""

    model: str
    versions: list[VersionBrief]
    next: str | None


class ModelList(BaseModel):
    """All models and the device they run on."""

    device: str
    models: list[ModelInfo]


def example_of(manifest: Manifest, prefix: str = "") -> Example:
    """Return an example request that works unchanged, with a typical row, by name if any column is no number."""
    row = typical_row(manifest)
    named = any(feature.type != "numeric" for feature in manifest.features)
    return Example(path=f"{prefix}/predict/{manifest.name}", body={"instances": [row if named else [*row.values()]]})
