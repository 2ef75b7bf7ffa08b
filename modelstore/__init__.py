"""The contract of training and serving: model versions, their store, training events."""

from modelstore.card import CardStatements
from modelstore.comparison import ClassificationComparison, RegressionComparison, VersionComparison, compare_versions
from modelstore.data_options import DataOptions, Split
from modelstore.datasets import ColumnSummary, DatasetFault, DatasetSummary, Histogram, Inspection
from modelstore.dialect import Dialect
from modelstore.errors import (
    BrokenVersion,
    InvalidKey,
    InvalidName,
    NotComparable,
    NotPermitted,
    NotShadow,
    PublishError,
    StoreError,
    UnknownModel,
    UnknownVersion,
    VersionInUse,
)
from modelstore.evaluation import (
    AnyBaseline,
    AnyEvaluation,
    Baseline,
    ClassReport,
    Evaluation,
    Metric,
    RegressionBaseline,
    RegressionEvaluation,
)
from modelstore.features import (
    MISSING_VALUES,
    BooleanFeature,
    CategoricalFeature,
    ColumnType,
    DatetimeFeature,
    Distribution,
    Feature,
    LeftOut,
    NumericFeature,
    Target,
    Task,
)
from modelstore.feedback import Feedback, FeedbackRow, FeedbackSummary
from modelstore.gate import Activation, GateReport
from modelstore.golden import MIN_GOLDEN_ROWS, GoldenRows, golden_row_limits
from modelstore.importance import ColumnImportance, Importance, JointImportance
from modelstore.leaders import Leader, LeaderBoard
from modelstore.manifest import Lineage, Manifest
from modelstore.names import check_name, check_new_name, check_version
from modelstore.onnx_file import OnnxFile
from modelstore.overrides import Overrides
from modelstore.permits import Permit
from modelstore.predictions import Prediction, ValuePrediction, write_predictions, write_values
from modelstore.progress import EpochMetrics, Event, JobResult, Notice, Reason, from_line, limit_warnings, to_line
from modelstore.repository import ModelRepository
from modelstore.signing import SigningKey
from modelstore.slices import Slice, Slices
from modelstore.tensors import Signature, TensorSpec
from modelstore.trust import AbstainPolicy, Background, Conformal, Decision, DecisionPolicy
from modelstore.versions import ModelVersion

__all__ = [
    "MIN_GOLDEN_ROWS",
    "MISSING_VALUES",
    "AbstainPolicy",
    "Activation",
    "AnyBaseline",
    "AnyEvaluation",
    "Background",
    "Baseline",
    "BooleanFeature",
    "BrokenVersion",
    "CardStatements",
    "CategoricalFeature",
    "ClassReport",
    "ClassificationComparison",
    "ColumnImportance",
    "ColumnSummary",
    "ColumnType",
    "Conformal",
    "DataOptions",
    "DatasetFault",
    "DatasetSummary",
    "DatetimeFeature",
    "Decision",
    "DecisionPolicy",
    "Dialect",
    "Distribution",
    "EpochMetrics",
    "Evaluation",
    "Event",
    "Feature",
    "Feedback",
    "FeedbackRow",
    "FeedbackSummary",
    "GateReport",
    "GoldenRows",
    "Histogram",
    "Importance",
    "Inspection",
    "InvalidKey",
    "InvalidName",
    "JobResult",
    "JointImportance",
    "Leader",
    "LeaderBoard",
    "LeftOut",
    "Lineage",
    "Manifest",
    "Metric",
    "ModelRepository",
    "ModelVersion",
    "NotComparable",
    "NotPermitted",
    "NotShadow",
    "Notice",
    "NumericFeature",
    "OnnxFile",
    "Overrides",
    "Permit",
    "Prediction",
    "PublishError",
    "Reason",
    "RegressionBaseline",
    "RegressionComparison",
    "RegressionEvaluation",
    "Signature",
    "SigningKey",
    "Slice",
    "Slices",
    "Split",
    "StoreError",
    "Target",
    "Task",
    "TensorSpec",
    "UnknownModel",
    "UnknownVersion",
    "ValuePrediction",
    "VersionComparison",
    "VersionInUse",
    "check_name",
    "check_new_name",
    "check_version",
    "compare_versions",
    "from_line",
    "golden_row_limits",
    "limit_warnings",
    "to_line",
    "write_predictions",
    "write_values",
]
