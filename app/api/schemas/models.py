"""What is asked and shown of models and versions: queries and the shapes of answers, not where they come from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.schemas.common import without_null
from modelstore import Baseline, Evaluation, Feature, GateReport, Lineage, Manifest

MAX_VERSION = 999_999_999

State = Literal["ready", "degraded", "unavailable"]


class HistoryQuery(BaseModel, extra="forbid"):
    """Which part of a history is asked for; a misspelt parameter is refused, not passed over."""

    before: Annotated[int | None, Field(ge=1, le=MAX_VERSION, json_schema_extra=without_null)] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 100


class CompareQuery(BaseModel, extra="forbid"):
    """Which two versions are compared."""

    versions: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8},[1-9][0-9]{0,8}$", examples=["3,7"])]


class Example(BaseModel):
    """A request that works as it stands."""

    method: Literal["POST"] = "POST"
    path: str
    content_type: str = "application/json"
    body: dict[str, list[list[float]]]


class EngineInfo(BaseModel):
    """What runs batches of up to so many rows: chosen by measuring when the version was loaded."""

    up_to_rows: int
    engine: str
    measured_us: float | None


class ModelInfo(BaseModel):
    """One model.

    Attributes:
        state: `ready`: the active version serves, or the newest while none is active; `degraded`: another one does;
            `unavailable`: none can.
        reason: why it is not ready.
        active_version: the version that the store wants to serve.
        serving_version: the version that answers now.
        warnings: what its training found, and what is unusual about how it serves, for people.
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
    classes: tuple[str, ...]
    features: tuple[Feature, ...]
    metrics: dict[str, Evaluation]
    warnings: tuple[str, ...]
    example: Example | None


class VersionInfo(BaseModel):
    """One version: its manifest without the golden rows, and how it stands here."""

    name: str
    version: int
    state: Literal["serving", "stored", "refused"]
    reason: str | None
    active: bool
    created: datetime | None = None
    description: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    classes: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()
    metrics: dict[str, Evaluation] = {}
    baselines: dict[str, Baseline] = {}
    gate: GateReport | None = None
    warnings: tuple[str, ...] = ()
    lineage: Lineage | None = None


class Figures(BaseModel):
    """How a version did on one split; log loss in nats."""

    rows: int
    accuracy: float
    macro_f1: float
    log_loss: float
    brier: float
    calibration_error: float


class VersionBrief(BaseModel):
    """One version in the history of a model.

    Attributes:
        active: the version that the store wants to serve.
        previous: the version that was active before that.
        serving: the version that answers now.
        reason: why it cannot serve, if that is known.
        metrics: a split's name to the figures of the whole manifest, without confusion matrix and classes.
        parent: the version that was active when this one was trained.
        job: the training that published it.
        data_sha256: file to the hash of what it was trained on.
        seed: of its training.
    """

    version: int
    created: datetime | None
    active: bool
    previous: bool
    serving: bool
    reason: str | None
    metrics: dict[str, Figures]
    gate: GateReport | None
    parent: int | None
    job: str | None
    data_sha256: dict[str, str]
    seed: int | None


class VersionHistory(BaseModel):
    """Versions of a model, newest first; `next` is where the older ones are, if there are any."""

    model: str
    versions: list[VersionBrief]
    next: str | None


class ModelList(BaseModel):
    """All models and the device they run on."""

    device: str
    models: list[ModelInfo]


def example_of(manifest: Manifest, prefix: str = "") -> Example:
    """Return a request that works as it stands, with a real row."""
    row = list(manifest.golden.features[0])
    return Example(path=f"{prefix}/predict/{manifest.name}", body={"instances": [row]})
