"""Response bodies of the Open Inference Protocol and of Triton's extensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from app.inference.codecs.oip import OUTPUTS_OF
from app.inference.codecs.oip_datatypes import DATATYPE_OF
from app.runtime.load import LoadedModel
from app.telemetry.version_report import BatchTotals, VersionStatistics


class Failure(BaseModel):
    """The error body of the protocol."""

    error: str


class ServerMetadata(BaseModel):
    """Name, version and supported protocol extensions of the server."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """The process answers."""

    live: Literal[True] = True


class _MaybeError(BaseModel):
    """A state with an `error` that is left out if there is none."""

    error: str | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}


class ServerReady(_MaybeError):
    """Whether every model can answer."""

    ready: bool


class ModelReady(_MaybeError):
    """Whether a model or version can answer."""

    name: str
    ready: bool


class ModelNames(BaseModel):
    """The names of all models."""

    models: list[str]


class TensorMetadata(BaseModel):
    """Name, datatype and shape of a tensor; -1 in the shape stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's tensors. Instead of the single input, one tensor per feature, by name, is accepted, too."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class IndexEntry(BaseModel):
    """A published version in the repository index."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class Duration(BaseModel):
    """Number of events and their total duration in nanoseconds."""

    count: int
    ns: int


class InferStatistics(BaseModel):
    """Number and duration of requests, their time in the queue, and the computing time of their batches."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class BatchStatistics(BaseModel):
    """Statistics of batches of at most `batch_size` rows and more than the next smaller `batch_size`."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(BaseModel):
    """Inference statistics of one version: rows, batches, requests."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics
    batch_stats: list[BatchStatistics]


class Statistics(BaseModel):
    """Inference statistics of several versions."""

    model_config = ConfigDict(protected_namespaces=())

    model_stats: list[ModelStatistics]


def model_metadata(loaded: LoadedModel, published: Sequence[int]) -> ModelMetadata:
    """Return the metadata of a loaded version."""
    schema = loaded.schema
    shapes = {
        "probabilities": ("FP32", [-1, schema.outputs]),
        "label": ("BYTES", [-1]),
        "class_index": ("INT64", [-1]),
        "value": ("FP32", [-1, 1]),
    }
    inputs = [TensorMetadata(name="features", datatype="FP32", shape=[-1, schema.width])]
    if not schema.all_numbers:
        inputs = [
            TensorMetadata(name=feature.name, datatype=DATATYPE_OF[feature.type], shape=[-1])
            for feature in schema.types
        ]
    return ModelMetadata(
        name=loaded.schema.name,
        versions=list(map(str, published)),
        platform=loaded.manifest.platform,
        inputs=inputs,
        outputs=[
            TensorMetadata(name=name, datatype=shapes[name][0], shape=shapes[name][1])
            for name in OUTPUTS_OF[schema.task]
        ],
    )


def statistics_of(version: VersionStatistics) -> ModelStatistics:
    """Return the statistics of a version in the protocol's format."""
    total = version.total
    return ModelStatistics(
        name=version.name,
        version=str(version.version),
        last_inference=version.last_ms,
        inference_count=total.rows,
        execution_count=total.count,
        inference_stats=InferStatistics(
            success=Duration(count=version.succeeded, ns=version.succeeded_ns),
            fail=Duration(count=version.failed, ns=version.failed_ns),
            queue=Duration(count=version.succeeded, ns=version.queued_ns),
            **_split_by_stage(total),
        ),
        batch_stats=[
            BatchStatistics(batch_size=size, **_split_by_stage(batches)) for size, batches in version.by_size.items()
        ],
    )


def _split_by_stage(batches: BatchTotals) -> dict[str, Duration]:
    each = {"input": batches.input_ns, "infer": batches.infer_ns, "output": batches.output_ns}
    return {f"compute_{stage}": Duration(count=batches.count, ns=ns) for stage, ns in each.items()}
