"""Query parameters and response bodies of the routes of versions.

This module must not know where the data come from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import without_null
from app.api.schemas.models import MAX_VERSION, ConformalInfo, MissingValues
from modelstore import (
    AbstainPolicy,
    AnyBaseline,
    AnyEvaluation,
    Decision,
    Feature,
    GateReport,
    Importance,
    LeaderBoard,
    LeftOut,
    Lineage,
    Target,
    Task,
)
from modelstore.search import Search


class HistoryQuery(BaseModel, extra="forbid"):
    """The requested part of a history; unknown parameters are refused."""

    before: Annotated[int | None, Field(ge=1, le=MAX_VERSION, json_schema_extra=without_null)] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class CompareQuery(BaseModel, extra="forbid"):
    """The two versions to compare."""

    versions: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8},[1-9][0-9]{0,8}$", examples=["3,7"])]


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
    receipts: bool = False
    metrics: dict[str, AnyEvaluation] = {}
    baselines: dict[str, AnyBaseline] = {}
    leaders: LeaderBoard | None = None
    search: Search | None = None
    decision: Decision | None = None
    temperature: float | None = None
    conformal: ConformalInfo | None = None
    abstain: AbstainPolicy | None = None
    importance: Importance | None = None
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
        shadow: whether its answers are compared with those of the active version.
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
    shadow: bool
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
