"""The manifest: everything about a model version except its weights.

It must not know torch, HTTP or the disk. The file format is described in `docs/artifact-format.md`, its JSON schema in
`docs/manifest.schema.json`. N is rows, F features, W cells of a row and K outputs everywhere.
"""

from __future__ import annotations

import json
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from modelstore.dialect import Dialect
from modelstore.evaluation import AnyBaseline, AnyEvaluation, Evaluation, RegressionEvaluation
from modelstore.features import MISSING_VALUES, Feature, LeftOut, Target, Task, width_of
from modelstore.golden import GoldenRows
from modelstore.leaders import LeaderBoard
from modelstore.records import Count, Finite, Label, ModelName, Record, Sha256
from modelstore.trust import Background, Conformal, Decision

FORMAT_VERSION: Final = 2
OUTPUTS: dict[Task, str] = {"classification": "probabilities", "regression": "value"}  # name of the output tensor

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
    def for_output(cls, name: str, width: int, *, cells: int) -> Self:
        """Return the signature of a model from cells (N, W) to one output (N, `width`)."""
        return cls(
            inputs=(TensorSpec(name="features", datatype="FP32", shape=(-1, cells)),),
            outputs=(TensorSpec(name=name, datatype="FP32", shape=(-1, width)),),
        )


class GateReport(Record):
    """Why a candidate was, or was not, made the active version.

    Attributes:
        policy: what was asked for.
        passed: whether the candidate was good enough to become active.
        reason: one sentence for people, with the figures compared.
        active_version: the version that it was compared with on the same rows, if there was one.
        rows: test rows by which it was judged.
        seen_rows: test rows left out of the comparison because the active version was trained on them; None if there
            was no comparison, or it is unknown.
    """

    policy: Activation
    passed: bool
    reason: str
    active_version: int | None = None
    candidate_log_loss: Finite | None = None
    active_log_loss: Finite | None = None
    candidate_rmse: Finite | None = None
    active_rmse: Finite | None = None
    rows: Count | None = None
    seen_rows: Count | None = None


class Lineage(Record):
    """Where a version comes from: enough to train it again.

    Attributes:
        recipe: the complete recipe with all overrides applied, as JSON values.
        data_sha256: file name to sha256 of each data file that was read.
        dialects: file name to how each of these files is written, with all fields, as it was read.
        libraries: library name to version.
        code: version of Tabserve that trained it.
        parent: the version that was active when it was trained.
        job: id of the training job, if a service started it.
    """

    recipe: dict[str, object]
    seed: Count
    data_sha256: dict[str, Sha256]
    dialects: dict[str, Dialect] = Field(default_factory=dict)
    libraries: dict[str, str]
    code: str
    parent: int | None = None
    job: str | None = None


class Manifest(Record):
    """Everything about a version but its weights.

    The version number is not in here: the folder is the version, so a version can be copied to another store.

    Attributes:
        features: the columns that the model uses, in the order of their cells.
        target: the column that it predicts; None in format 1.
        classes: names of the classes in output order; empty for a regression.
        left_out: columns of the table that it does not use, each with the reason.
        missing_values: texts that stand for a missing value, as `missingValues`.
        strict: whether rows with unusual values are refused, unless a request says otherwise.
        leaders: the model beside its members and baselines on the same test rows; absent in versions of older releases.
        warnings: what the training found that a person should know.
        decision: how a class is chosen, where it is not the most probable one.
        temperature: divisor of the logits inside the model, for calibration.
        conformal: scores for prediction sets.
        background: typical rows for explanations.
        importance: importance of each feature, by name.
        card: the model card, as JSON values.
    """

    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    format_version: Literal[1, 2] = FORMAT_VERSION
    name: ModelName
    description: str = ""
    platform: Literal["pytorch_torchscript"] = "pytorch_torchscript"
    created: AwareDatetime
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=1)]
    task: Task = "classification"
    signature: Signature
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]
    target: Target | None = None
    classes: tuple[Label, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    missing_values: Annotated[tuple[str, ...], Field(alias="missingValues")] = MISSING_VALUES
    strict: bool = False
    golden: GoldenRows
    metrics: Annotated[dict[str, AnyEvaluation], Field(min_length=1)]
    baselines: dict[str, AnyBaseline] = Field(default_factory=dict)
    leaders: LeaderBoard | None = None
    gate: GateReport | None = None
    warnings: tuple[str, ...] = ()
    lineage: Lineage
    decision: Decision | None = None
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    conformal: Conformal | None = None
    background: Background | None = None
    importance: dict[Label, Finite] | None = None
    card: dict[str, object] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _require_distinct("feature", self.feature_names)
        for split, evaluation in self.metrics.items():
            if split != evaluation.split:
                raise ValueError(f"metrics[{split!r}] must be of that split")
        self.golden.require_shape(self.width, self.outputs)
        if self.signature != Signature.for_output(OUTPUTS[self.task], self.outputs, cells=self.width):
            raise ValueError(f"signature does not fit {self.width} cells and {self.outputs} outputs")
        if self.decision and (problem := self.decision.misfit(len(self.classes))):
            raise ValueError(f"the decision must have {problem}")
        _require_classifier(self) if self.task == "classification" else _require_regressor(self)
        return self

    @property
    def width(self) -> int:
        """Return the number of cells of a row, W."""
        return width_of(self.features)

    @property
    def outputs(self) -> int:
        """Return the number of outputs of a row, K."""
        return len(self.classes) if self.task == "classification" else 1

    @property
    def takes_missing(self) -> bool:
        """Return whether the model can answer rows with missing values; those of format 1 cannot."""
        return self.format_version > 1

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the feature names in column order, length F."""
        return tuple(feature.name for feature in self.features)

    def to_json(self) -> bytes:
        """Return the bytes of `manifest.json`: UTF-8, indented, field order as declared."""
        return self.model_dump_json(indent=1, exclude_none=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a manifest.

        Raises:
            pydantic.ValidationError: if anything is missing, unknown, of the wrong type or inconsistent.
        """
        return cls.model_validate_json(_upgrade(data))


def _upgrade(data: bytes) -> bytes:
    """Return a document of format 1 with the fields of format 2: its features are numbers that cannot be missing."""
    try:
        document = json.loads(data)
    except ValueError:
        return data
    if not isinstance(document, dict) or document.get("format_version") != 1:
        return data
    golden, features = document.get("golden"), document.get("features")
    if isinstance(golden, dict) and "probabilities" in golden:
        golden["outputs"] = golden.pop("probabilities")
    for feature in features if isinstance(features, list) else ():
        if isinstance(feature, dict):
            feature.setdefault("type", "numeric")
    return json.dumps(document).encode()


def _require_distinct(kind: str, names: tuple[str, ...]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"{kind} names must be distinct, got {names}")


def _require_classifier(manifest: Manifest) -> None:
    """Require that golden rows and evaluations fit the classes."""
    classes = len(manifest.classes)
    if classes < 2:
        raise ValueError(f"a classification needs at least two classes, got {classes}")
    _require_distinct("class", manifest.classes)
    manifest.golden.require_probabilities()
    for split, evaluation in manifest.metrics.items():
        if not isinstance(evaluation, Evaluation):
            raise ValueError(f"metrics[{split!r}] must be those of a classification")
        if (len(evaluation.confusion), *{len(row) for row in evaluation.confusion}) != (classes, classes):
            raise ValueError(f"metrics[{split!r}] must have its confusion {classes} x {classes}")


def _require_regressor(manifest: Manifest) -> None:
    """Require that target and evaluations are those of a quantity."""
    if manifest.classes or manifest.target is None or manifest.target.distribution is None:
        raise ValueError("a regression needs a target with its distribution, and no classes")
    for split, evaluation in manifest.metrics.items():
        if not isinstance(evaluation, RegressionEvaluation):
            raise ValueError(f"metrics[{split!r}] must be those of a regression")
