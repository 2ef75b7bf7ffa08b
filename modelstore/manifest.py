"""The manifest: everything about a model version except its weights.

It must not know torch, HTTP or the disk. The file format is described in `docs/artifact-format.md`, its JSON schema in
`docs/manifest.schema.json`. N is rows, F features and K classes everywhere.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from modelstore.evaluation import Baseline, Evaluation
from modelstore.records import Count, Finite, Label, ModelName, Ratio, Record, Sha256

FORMAT_VERSION: Final = 1
MIN_GOLDEN_ROWS = 32
MIN_WIDE_GOLDEN_ROWS = 3
PROBABILITIES = "probabilities"  # name of a classifier's output
MAX_GOLDEN_VALUES = 1 << 15  # features and probabilities together; more prove nothing new and slow every start

Activation = Literal["if_better", "always", "never"]  # when a training makes its version the active one


class TensorSpec(Record):
    """Name, datatype (Open Inference Protocol spelling) and shape of a tensor; -1 is the batch."""

    name: str
    datatype: Literal["FP32"]
    shape: tuple[int, ...]


class Signature(Record):
    """What goes into `model.pt` and what comes out of it."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @classmethod
    def for_output(cls, name: str, width: int, *, features: int) -> Self:
        """Return the signature of a model from raw features (N, F) to one output (N, `width`)."""
        return cls(
            inputs=(TensorSpec(name="features", datatype="FP32", shape=(-1, features)),),
            outputs=(TensorSpec(name=name, datatype="FP32", shape=(-1, width)),),
        )


class Feature(Record):
    """One input column in the user's words, with what the training split showed of it.

    Attributes:
        unit: unit of the raw value; empty for a pure number.
        min: smallest value of the training split; with `max` it is the training range.
        quantiles: the nine inner deciles of the training split, ascending.
    """

    name: Label
    unit: str = ""
    mean: Finite
    std: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    min: Finite
    max: Finite
    quantiles: Annotated[tuple[Finite, ...], Field(min_length=9, max_length=9)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        steps = (self.min, *self.quantiles, self.max)
        if any(low > high for low, high in itertools.pairwise(steps)):
            raise ValueError(f"feature {self.name!r}: min, quantiles and max must ascend")
        return self


class GateReport(Record):
    """Why a candidate was, or was not, made the active version.

    Attributes:
        policy: what was asked for.
        passed: whether the candidate was good enough to become active.
        reason: one sentence for people, with the figures compared.
        active_version: the version that it was compared with on the same rows, if there was one.
    """

    policy: Activation
    passed: bool
    reason: str
    active_version: int | None = None
    candidate_log_loss: Finite | None = None
    active_log_loss: Finite | None = None


class GoldenRows(Record):
    """Raw inputs and the probabilities that the eager training-side model gave for them.

    Attributes:
        features: (G, F) raw features, each exactly representable in float32.
        probabilities: (G, K), from the eager model.
        tolerance: largest absolute difference that a faithful copy of the model may show.
    """

    features: tuple[tuple[Finite, ...], ...]
    probabilities: tuple[tuple[Ratio, ...], ...]
    tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 1e-5


class Lineage(Record):
    """Where a version comes from: enough to train it again.

    Attributes:
        recipe: the complete recipe with all overrides applied, as JSON values.
        data_sha256: file name to sha256 of each data file that was read.
        libraries: library name to version.
        code: version of Tabserve that trained it.
        parent: the version that was active when it was trained.
        job: id of the training job, if a service started it.
    """

    recipe: dict[str, object]
    seed: Count
    data_sha256: dict[str, Sha256]
    libraries: dict[str, str]
    code: str
    parent: int | None = None
    job: str | None = None


class Manifest(Record):
    """Everything about a version but its weights.

    The version number is not in here: the folder is the version, so a version can be copied to another store.

    Attributes:
        warnings: what the training found that a person should know; not written if there is nothing, for the first
            readers of format 1 do not know it.
    """

    format_version: Literal[1] = FORMAT_VERSION
    name: ModelName
    description: str = ""
    platform: Literal["pytorch_torchscript"] = "pytorch_torchscript"
    created: AwareDatetime
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=1)]
    signature: Signature
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    classes: Annotated[tuple[Label, ...], Field(min_length=2)]
    golden: GoldenRows
    metrics: Annotated[dict[str, Evaluation], Field(min_length=1)]
    baselines: dict[str, Baseline] = Field(default_factory=dict)
    gate: GateReport | None = None
    warnings: tuple[str, ...] = ()
    lineage: Lineage

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _require_distinct("feature", self.feature_names)
        for split, evaluation in self.metrics.items():
            if split != evaluation.split:
                raise ValueError(f"metrics[{split!r}] must be of that split")
        _require_classifier(self)
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the feature names in column order, length F."""
        return tuple(feature.name for feature in self.features)

    def to_json(self) -> bytes:
        """Return the bytes of `manifest.json`: UTF-8, indented, field order as declared."""
        return self.model_dump_json(indent=1, exclude=None if self.warnings else {"warnings"}).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a manifest.

        Raises:
            pydantic.ValidationError: if anything is missing, unknown, of the wrong type or inconsistent.
        """
        return cls.model_validate_json(data)


def golden_row_limits(features: int, classes: int) -> tuple[int, int]:
    """Return how many golden rows a manifest needs, and how many are enough; both are smaller for very wide rows."""
    enough = MAX_GOLDEN_VALUES // (features + classes)
    return max(MIN_WIDE_GOLDEN_ROWS, min(MIN_GOLDEN_ROWS, enough)), max(MIN_WIDE_GOLDEN_ROWS, enough)


def _require_distinct(kind: str, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"{kind} names must be distinct, got {names}")


def _require_classifier(manifest: Manifest) -> None:
    """Require that signature, golden rows and evaluations fit the classes."""
    features, classes = len(manifest.features), len(manifest.classes)
    if manifest.signature != Signature.for_output(PROBABILITIES, classes, features=features):
        raise ValueError(f"signature does not fit {features} features and {classes} classes")
    _require_distinct("class", manifest.classes)
    _require_golden(manifest.golden, features, classes)
    for split, evaluation in manifest.metrics.items():
        if (len(evaluation.confusion), *{len(row) for row in evaluation.confusion}) != (classes, classes):
            raise ValueError(f"metrics[{split!r}] must have its confusion {classes} x {classes}")


def _require_golden(golden: GoldenRows, features: int, classes: int) -> None:
    least, _ = golden_row_limits(features, classes)
    if len(golden.features) != len(golden.probabilities) or len(golden.features) < least:
        raise ValueError(f"at least {least} golden rows with as many answers are needed")
    if {len(row) for row in golden.features} != {features}:
        raise ValueError(f"each golden row needs {features} features")
    if {len(row) for row in golden.probabilities} != {classes}:
        raise ValueError(f"each golden answer needs {classes} probabilities")
    if not all(math.isclose(sum(row), 1, abs_tol=1e-5) for row in golden.probabilities):
        raise ValueError("each golden answer must sum to 1")
