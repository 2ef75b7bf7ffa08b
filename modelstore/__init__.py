"""The contract between training and serving: what a model version is, where it lies, what training reports."""

from modelstore.errors import (
    BrokenVersion,
    InvalidName,
    PublishError,
    StoreError,
    UnknownModel,
    UnknownVersion,
)
from modelstore.manifest import (
    MIN_GOLDEN_ROWS,
    Baseline,
    ClassReport,
    Evaluation,
    Feature,
    GateReport,
    GoldenRows,
    Lineage,
    Manifest,
    Signature,
    TensorSpec,
)
from modelstore.overrides import Overrides
from modelstore.progress import EpochMetrics, Event, JobResult, Notice, Reason, from_line, to_line
from modelstore.repository import ModelRepository, ModelVersion, check_name, check_version

__all__ = [
    "MIN_GOLDEN_ROWS",
    "Baseline",
    "BrokenVersion",
    "ClassReport",
    "EpochMetrics",
    "Evaluation",
    "Event",
    "Feature",
    "GateReport",
    "GoldenRows",
    "InvalidName",
    "JobResult",
    "Lineage",
    "Manifest",
    "ModelRepository",
    "ModelVersion",
    "Notice",
    "Overrides",
    "PublishError",
    "Reason",
    "Signature",
    "StoreError",
    "TensorSpec",
    "UnknownModel",
    "UnknownVersion",
    "check_name",
    "check_version",
    "from_line",
    "to_line",
]
