"""What the routes of the Open Inference Protocol answer, as the protocol and Triton's extensions have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from app.inference.codecs.oip import OUTPUTS
from app.runtime.load import LoadedModel
from app.telemetry.version_report import Batches, VersionStatistics


class Failure(BaseModel):
    """The error body of the protocol."""

    error: str


class ServerMetadata(BaseModel):
    """What the server is, and which extensions of the protocol work."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """The event loop answers."""

    live: Literal[True] = True


class _MaybeError(BaseModel):
    """A state with the reason if it is a bad one, and without the field if not."""

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
    """A tensor; -1 in its shape stands for any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """A model's tensors. Instead of the one input, a tensor for each feature by name is taken, too."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class IndexEntry(BaseModel):
    """A published version."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class Duration(BaseModel):
    """How often something was done, and how many nanoseconds it took in sum."""

    count: int
    ns: int


class InferStatistics(BaseModel):
    """Requests, the time that they waited, and the time of the batches in which they were computed."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class BatchStatistics(BaseModel):
    """Batches of at most `batch_size` rows, and of more than the next smaller `batch_size`."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


class ModelStatistics(BaseModel):
    """What a version did: rows, batches, requests."""

    name: str
    version: str
    last_inference: int
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics
    batch_stats: list[BatchStatistics]


class Statistics(BaseModel):
    """What versions did."""

    model_config = ConfigDict(protected_namespaces=())

    model_stats: list[ModelStatistics]


def model_metadata(loaded: LoadedModel, published: Sequence[int]) -> ModelMetadata:
    """Return the metadata of a version that is loaded."""
    classes = len(loaded.contract.classes)
    shapes = {"probabilities": ("FP32", [-1, classes]), "label": ("BYTES", [-1]), "class_index": ("INT64", [-1])}
    features = TensorMetadata(name="features", datatype="FP32", shape=[-1, len(loaded.contract.features)])
    return ModelMetadata(
        name=loaded.contract.name,
        versions=list(map(str, published)),
        platform=loaded.manifest.platform,
        inputs=[features],
        outputs=[TensorMetadata(name=name, datatype=shapes[name][0], shape=shapes[name][1]) for name in OUTPUTS],
    )


def statistics_of(version: VersionStatistics) -> ModelStatistics:
    """Return a version's figures in the protocol's words."""
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
            **_computed(total),
        ),
        batch_stats=[
            BatchStatistics(batch_size=size, **_computed(batches)) for size, batches in version.by_size.items()
        ],
    )


def _computed(batches: Batches) -> dict[str, Duration]:
    each = {"input": batches.input_ns, "infer": batches.infer_ns, "output": batches.output_ns}
    return {f"compute_{stage}": Duration(count=batches.count, ns=ns) for stage, ns in each.items()}
