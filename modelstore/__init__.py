"""The contract of training and serving: model versions, their store, training events."""

from modelstore.comparison import ClassificationComparison, RegressionComparison, VersionComparison, compare_versions
from modelstore.data_options import DataOptions, Split
from modelstore.datasets import ColumnSummary, DatasetFault, DatasetSummary, Inspection
from modelstore.dialect import Dialect
from modelstore.errors import (
    BrokenVersion,
    InvalidKey,
    InvalidName,
    NotComparable,
    NotPermitted,
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
from modelstore.golden import MIN_GOLDEN_ROWS, GoldenRows, golden_row_limits
from modelstore.leaders import Leader, LeaderBoard
from modelstore.manifest import Activation, GateReport, Lineage, Manifest, Signature, TensorSpec
from modelstore.names import check_name, check_new_name, check_version
from modelstore.overrides import Overrides
from modelstore.permits import Permit
from modelstore.predictions import Prediction, ValuePrediction, write_predictions, write_values
from modelstore.progress import EpochMetrics, Event, JobResult, Notice, Reason, from_line, limit_warnings, to_line
from modelstore.repository import ModelRepository
from modelstore.signing import SigningKey
from modelstore.trust import Decision, DecisionPolicy
from modelstore.versions import ModelVersion

__all__ = [
    "MIN_GOLDEN_ROWS",
    "MISSING_VALUES",
    "Activation",
    "AnyBaseline",
    "AnyEvaluation",
    "Baseline",
    "BooleanFeature",
    "BrokenVersion",
    "CategoricalFeature",
    "ClassReport",
    "ClassificationComparison",
    "ColumnSummary",
    "ColumnType",
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
    "GateReport",
    "GoldenRows",
    "Inspection",
    "InvalidKey",
    "InvalidName",
    "JobResult",
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
    "Notice",
    "NumericFeature",
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
