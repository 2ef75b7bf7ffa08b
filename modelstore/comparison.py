"""Compare two versions row by row, using the test predictions stored with each.

Rows are matched by their line in the data file, or their place in the feedback, so both versions must have been tested
on the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import Field

from modelstore.errors import NotComparable
from modelstore.evaluation import Evaluation, RegressionEvaluation
from modelstore.manifest import Manifest
from modelstore.predictions import Prediction, ValuePrediction, read_predictions, read_values
from modelstore.records import Count, Finite, Label, ModelName, Ratio, Record
from modelstore.versions import ModelVersion

MAX_EXAMPLES = 100


class Disagreement(Record):
    """A row for which two versions predict different classes; `line` is that in the data file, None of feedback."""

    line: int | None
    truth: Label
    first: Label
    second: Label


class ValueDifference(Record):
    """A row for which two versions predict different values; `line` is that in the data file, None of feedback."""

    line: int | None
    truth: Finite
    first: Finite
    second: Finite


class _Comparison(Record):
    """What comparisons of both tasks tell.

    Attributes:
        rows: number of test rows compared.
        agreeing: rows with equal answers; `disagreeing` the others.
    """

    model: ModelName
    versions: tuple[int, int]
    rows: Count
    agreeing: Count
    disagreeing: Count


class ClassificationComparison(_Comparison):
    """The differences between two versions of a classifier on the test rows that both were tested on.

    Attributes:
        metrics: evaluation of each version on its whole test split, by version.
        only_first_right: rows that only the first version gets right; input of the McNemar test, with
            `only_second_right`.
        p_value: probability of counts at least this uneven if both versions were equally good.
        examples: the first differing rows, at most 100.
    """

    task: Literal["classification"] = "classification"
    metrics: dict[str, Evaluation]
    only_first_right: Count
    only_second_right: Count
    p_value: Ratio
    examples: tuple[Disagreement, ...] = Field(max_length=MAX_EXAMPLES)


class RegressionComparison(_Comparison):
    """The differences between two versions of a regressor on the test rows that both were tested on.

    Attributes:
        metrics: evaluation of each version on its whole test split, by version.
        rmse: root of the mean squared error of each version on the compared rows.
        first_closer: rows for which the first version is closer to the truth; input of the sign test, with
            `second_closer`.
        p_value: probability of counts at least this uneven if each version were as often closer.
        examples: rows with the largest differences between the two answers, largest first, at most 100.
    """

    task: Literal["regression"] = "regression"
    metrics: dict[str, RegressionEvaluation]
    rmse: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]
    first_closer: Count
    second_closer: Count
    p_value: Ratio
    examples: tuple[ValueDifference, ...] = Field(max_length=MAX_EXAMPLES)


VersionComparison = ClassificationComparison | RegressionComparison


def compare_versions(first: ModelVersion, second: ModelVersion) -> VersionComparison:
    """Compare two versions of one model on the test rows that both were tested on.

    Raises:
        NotComparable: if they were tested on different data or different rows, or one has no predictions.
        BrokenVersion: if a manifest cannot be read.
    """
    manifests = first.manifest(), second.manifest()
    tasks = {manifest.task for manifest in manifests}
    if len(tasks) > 1:
        raise NotComparable(first.name, "one predicts classes, the other one values")
    if manifests[0].lineage.data_sha256 != manifests[1].lineage.data_sha256:
        raise NotComparable(first.name, "they were trained and tested on different data")
    if tasks == {"regression"}:
        return _compare_regressors(first, second, manifests)
    return _compare_classifiers(first, second, manifests)


def _compare_classifiers(
    first: ModelVersion, second: ModelVersion, manifests: tuple[Manifest, Manifest]
) -> ClassificationComparison:
    ours, theirs = read_predictions(first), read_predictions(second)
    _require_same_rows(first.name, manifests, ours, theirs)
    differing = [
        Disagreement(
            line=_shown(line), truth=prediction.truth, first=prediction.predicted, second=theirs[line].predicted
        )
        for line, prediction in sorted(ours.items(), key=_file_first)
        if prediction.predicted != theirs[line].predicted
    ]
    only_first = sum(row.first == row.truth for row in differing)
    only_second = sum(row.second == row.truth for row in differing)
    return ClassificationComparison(
        model=first.name,
        versions=(first.version, second.version),
        metrics={
            version: test
            for version, test in _test_evaluations(first, second, manifests)
            if isinstance(test, Evaluation)
        },
        rows=len(ours),
        agreeing=len(ours) - len(differing),
        disagreeing=len(differing),
        only_first_right=only_first,
        only_second_right=only_second,
        p_value=mcnemar(only_first, only_second),
        examples=tuple(differing[:MAX_EXAMPLES]),
    )


def _compare_regressors(
    first: ModelVersion, second: ModelVersion, manifests: tuple[Manifest, Manifest]
) -> RegressionComparison:
    ours, theirs = read_values(first), read_values(second)
    _require_same_rows(first.name, manifests, ours, theirs)
    differing = [
        ValueDifference(
            line=_shown(line), truth=prediction.truth, first=prediction.predicted, second=theirs[line].predicted
        )
        for line, prediction in sorted(ours.items(), key=_file_first)
        if prediction.predicted != theirs[line].predicted
    ]
    distances = [(abs(row.first - row.truth), abs(row.second - row.truth)) for row in differing]
    first_closer = sum(our < their for our, their in distances)
    second_closer = sum(their < our for our, their in distances)
    return RegressionComparison(
        model=first.name,
        versions=(first.version, second.version),
        metrics={
            version: test
            for version, test in _test_evaluations(first, second, manifests)
            if isinstance(test, RegressionEvaluation)
        },
        rows=len(ours),
        agreeing=len(ours) - len(differing),
        disagreeing=len(differing),
        rmse=(_rmse(ours.values()), _rmse(theirs.values())),
        first_closer=first_closer,
        second_closer=second_closer,
        p_value=mcnemar(first_closer, second_closer),
        examples=tuple(sorted(differing, key=lambda row: -abs(row.first - row.second))[:MAX_EXAMPLES]),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of the exact McNemar test, which is the sign test of the differing rows, 0 to 1.

    Args:
        only_first: rows that only the first classifier gets right, or for which the first regressor is closer.
        only_second: likewise of the second.

    Source: binomial form, Fagerland, Lydersen & Laake, BMC Med. Res. Methodol. 13:91, 2013, section 2; for values,
    Dixon & Mood, J. Am. Stat. Assoc. 41(236), 1946: ties are left out.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    log_half = total * math.log(0.5)
    logs = (math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) for k in range(fewer + 1))
    return min(1.0, 2 * math.fsum(math.exp(log + log_half) for log in logs))


def _require_same_rows(
    name: str,
    manifests: tuple[Manifest, Manifest],
    ours: Mapping[int, Prediction | ValuePrediction],
    theirs: Mapping[int, Prediction | ValuePrediction],
) -> None:
    if {line: prediction.truth for line, prediction in ours.items()} != {
        line: prediction.truth for line, prediction in theirs.items()
    }:
        raise NotComparable(name, "other rows of the data were held back for testing")
    if min(ours, default=1) < 1 and manifests[0].lineage.feedback != manifests[1].lineage.feedback:
        raise NotComparable(name, "they were tested on other rows of feedback")


def _shown(line: int) -> int | None:
    """Return a line of the data file; None for a row of feedback, which has none."""
    return line if line > 0 else None


def _file_first(row: tuple[int, object]) -> tuple[bool, int]:
    """Return what orders rows by line: those of the data file, then those of feedback."""
    line, _ = row
    return line < 1, abs(line)


def _test_evaluations(
    first: ModelVersion, second: ModelVersion, manifests: tuple[Manifest, Manifest]
) -> Iterable[tuple[str, Evaluation | RegressionEvaluation]]:
    """Yield each version with its evaluation on the test split, if it has one."""
    for found, manifest in zip((first, second), manifests, strict=True):
        if "test" in manifest.metrics:
            yield str(found.version), manifest.metrics["test"]


def _rmse(predictions: Iterable[ValuePrediction]) -> float:
    squares = [(prediction.predicted - prediction.truth) ** 2 for prediction in predictions]
    return math.sqrt(math.fsum(squares) / max(1, len(squares)))
