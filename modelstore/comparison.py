"""Compare two versions row by row, using the test predictions stored with each.

Rows are matched by their line in the data file, so both versions must have been tested on the same rows. How the
predictions were made is not known here.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

from pydantic import Field

from modelstore.errors import BrokenVersion, NotComparable
from modelstore.evaluation import Evaluation
from modelstore.records import Count, Label, ModelName, Ratio, Record
from modelstore.versions import ModelVersion

PREDICTIONS_FILE = "test_predictions.csv"
COLUMNS = ("line", "truth", "predicted", "probability")
MAX_ROWS = 100_000
MAX_EXAMPLES = 100
MAX_FILE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of a version for one test row.

    Attributes:
        truth: name of the row's true class.
        predicted: name of the class with the highest probability.
        probability: probability of that class, 0 to 1.
    """

    truth: str
    predicted: str
    probability: float


class Disagreement(Record):
    """A row for which two versions predict different classes; `line` is its line in the data file."""

    line: int
    truth: Label
    first: Label
    second: Label


class VersionComparison(Record):
    """The differences between two versions of a model on the test rows that both were tested on.

    Attributes:
        metrics: evaluation of each version on its whole test split, by version.
        rows: number of test rows compared.
        only_first_right: rows that only the first version gets right; input of the McNemar test, with
            `only_second_right`.
        p_value: probability of counts at least this uneven if both versions were equally good.
        examples: the first differing rows, at most 100.
    """

    model: ModelName
    versions: tuple[int, int]
    metrics: dict[str, Evaluation]
    rows: Count
    agreeing: Count
    disagreeing: Count
    only_first_right: Count
    only_second_right: Count
    p_value: Ratio
    examples: tuple[Disagreement, ...] = Field(max_length=MAX_EXAMPLES)


def write_predictions(predictions: Iterable[tuple[int, Prediction]]) -> bytes:
    """Return the content of `test_predictions.csv` for (line, prediction) pairs; at most 100,000 rows are kept."""
    lines: list[str] = []
    # csv quotes cells that contain a character of the line terminator, so it is CRLF here; the file itself uses LF
    writer = csv.writer(SimpleNamespace(write=lambda row: lines.append(f"{row[:-2]}\n")), lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for count, (line, said) in enumerate(predictions):
        if count == MAX_ROWS:
            break
        writer.writerow((line, said.truth, said.predicted, f"{said.probability:.6g}"))
    return "".join(lines).encode()


def read_predictions(found: ModelVersion) -> dict[int, Prediction]:
    """Return the stored test predictions of a version, by line in the data file.

    Raises:
        NotComparable: if the version has no predictions file, or it cannot be read.
    """
    try:
        text = found.attachment(PREDICTIONS_FILE, MAX_FILE_BYTES).decode()
        header, *rows = csv.reader(io.StringIO(text))
        if tuple(header) != COLUMNS:
            raise ValueError("other columns")
        return {int(line): Prediction(truth, said, float(probability)) for line, truth, said, probability in rows}
    except (BrokenVersion, ValueError, csv.Error) as error:
        problem = f"version {found.version} has no readable {PREDICTIONS_FILE}; train it again with this release"
        raise NotComparable(found.name, problem) from error


def compare_versions(first: ModelVersion, second: ModelVersion) -> VersionComparison:
    """Compare two versions of one model on the test rows that both were tested on.

    Raises:
        NotComparable: if they were tested on different data or different rows, or one has no predictions.
        BrokenVersion: if a manifest cannot be read.
    """
    manifests = first.manifest(), second.manifest()
    if manifests[0].lineage.data_sha256 != manifests[1].lineage.data_sha256:
        raise NotComparable(first.name, "they were trained and tested on different data")
    ours, theirs = read_predictions(first), read_predictions(second)
    if {line: said.truth for line, said in ours.items()} != {line: said.truth for line, said in theirs.items()}:
        raise NotComparable(first.name, "other rows of the data were held back for testing")
    differing = [
        Disagreement(line=line, truth=said.truth, first=said.predicted, second=theirs[line].predicted)
        for line, said in sorted(ours.items())
        if said.predicted != theirs[line].predicted
    ]
    only_first = sum(row.first == row.truth for row in differing)
    only_second = sum(row.second == row.truth for row in differing)
    return VersionComparison(
        model=first.name,
        versions=(first.version, second.version),
        metrics=_test_metrics({first.version: manifests[0].metrics, second.version: manifests[1].metrics}),
        rows=len(ours),
        agreeing=len(ours) - len(differing),
        disagreeing=len(differing),
        only_first_right=only_first,
        only_second_right=only_second,
        p_value=mcnemar(only_first, only_second),
        examples=tuple(differing[:MAX_EXAMPLES]),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of the exact McNemar test, 0 to 1.

    Args:
        only_first: rows that only the first classifier gets right.
        only_second: rows that only the second gets right.

    Source: binomial form, Fagerland, Lydersen & Laake, BMC Med. Res. Methodol. 13:91, 2013, section 2.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    log_half = total * math.log(0.5)
    logs = (math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) for k in range(fewer + 1))
    return min(1.0, 2 * math.fsum(math.exp(log + log_half) for log in logs))


def _test_metrics(metrics: Mapping[int, Mapping[str, Evaluation]]) -> dict[str, Evaluation]:
    return {str(version): splits["test"] for version, splits in metrics.items() if "test" in splits}
