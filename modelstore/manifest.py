"""The manifest: everything about a model version except its weights.

It must not know torch, HTTP or the disk. The file format is described in `docs/artifact-format.md`, its JSON schema in
`docs/manifest.schema.json`. N is rows, F features, W cells of a row and K outputs everywhere.
"""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Final, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from modelstore.card import CardStatements
from modelstore.dialect import USUAL, Dialect
from modelstore.evaluation import AnyBaseline, AnyEvaluation, Evaluation, RegressionEvaluation
from modelstore.features import MISSING_VALUES, Feature, LeftOut, Target, Task, width_of
from modelstore.feedback import FeedbackSummary
from modelstore.gate import GateReport
from modelstore.golden import GoldenRows
from modelstore.importance import Importance
from modelstore.leaders import LeaderBoard
from modelstore.onnx_file import OnnxFile
from modelstore.records import Count, Label, ModelName, Record, Sha256
from modelstore.search import Search
from modelstore.slices import Slices
from modelstore.tensors import OUTPUTS, Signature
from modelstore.trust import AbstainPolicy, Background, Conformal, Decision

FORMAT_VERSION: Final = 2


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
        stopped: whether the training was ended early, so that training again may give other weights; None if not.
        feedback: rows of feedback that it was trained on beside its data; None if there were none.
    """

    recipe: dict[str, object]
    seed: Count
    data_sha256: dict[str, Sha256]
    dialects: dict[str, Dialect] = Field(default_factory=dict)
    libraries: dict[str, str]
    code: str
    parent: int | None = None
    job: str | None = None
    stopped: bool | None = None
    feedback: FeedbackSummary | None = None


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
        receipts: whether each answer has a receipt, by which its label can be sent later, unless a request says
            otherwise.
        leaders: the model beside its members and baselines on the same test rows; absent in versions of older releases.
        search: the settings that were tried, if its settings were searched for.
        warnings: what the training found that a person should know.
        decision: how a class is chosen, where it is not the most probable one.
        temperature: divisor of the logits inside the model, for calibration.
        conformal: scores for prediction sets, or intervals of a quantity.
        abstain: when nothing is decided for a row.
        background: typical rows for explanations.
        importance: how much each column matters to the model, on test rows.
        slices: how the model did on parts of the test rows; absent in versions of older releases.
        card: what people stated about the model when it was trained.
        onnx: the file `model.onnx`, if the version has one.
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
    receipts: bool = False
    golden: GoldenRows
    metrics: Annotated[dict[str, AnyEvaluation], Field(min_length=1)]
    baselines: dict[str, AnyBaseline] = Field(default_factory=dict)
    leaders: LeaderBoard | None = None
    search: Search | None = None
    gate: GateReport | None = None
    warnings: tuple[str, ...] = ()
    lineage: Lineage
    decision: Decision | None = None
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    conformal: Conformal | None = None
    abstain: AbstainPolicy | None = None
    background: Background | None = None
    importance: Importance | None = None
    slices: Slices | None = None
    card: CardStatements | None = None
    onnx: OnnxFile | None = None

    @model_validator(mode="after")
    def _require_consistent(self) -> Self:
        _require_distinct("feature", self.feature_names)
        for split, evaluation in self.metrics.items():
            if split != evaluation.split:
                raise ValueError(f"metrics[{split!r}] must be of that split")
        self.golden.require_shape(self.width, self.outputs)
        if self.signature != Signature.for_output(OUTPUTS[self.task], self.outputs, cells=self.width):
            raise ValueError(f"signature does not fit {self.width} cells and {self.outputs} outputs")
        if self.background and {len(row) for row in self.background.rows} != {self.width}:
            raise ValueError(f"each background row needs {self.width} cells")
        if self.decision and (problem := self.decision.misfit(len(self.classes))):
            raise ValueError(f"the decision must have {problem}")
        if self.conformal and (problem := self.conformal.misfit(self.classes)):
            raise ValueError(f"conformal must have {problem}")
        if self.abstain and (problem := self.abstain.misfit(len(self.classes))):
            raise ValueError(f"abstain must have {problem}")
        if self.abstain and self.abstain.confidence and self.conformal is None:
            raise ValueError("abstain needs conformal for a confidence")
        if self.task == "classification":
            _require_classifier(self)
        else:
            _require_regressor(self)
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
    def dialect(self) -> Dialect:
        """Return how the training file is written, with all fields; the usual way where that is not recorded."""
        source = self.lineage.recipe.get("data")
        found = self.lineage.dialects.get(str(source.get("file"))) if isinstance(source, dict) else None
        return found.or_else(USUAL) if found else USUAL

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
        with contextlib.suppress(ValueError, RecursionError):  # the error below says what is wrong
            data = _upgrade(data)
        return cls.model_validate_json(data)


def _upgrade(data: bytes) -> bytes:
    """Return a document of format 1 with the fields of format 2: its features are numbers that cannot be missing.

    Raises:
        ValueError, RecursionError: if it is no JSON, or nests too deep.
    """
    document = json.loads(data)
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
