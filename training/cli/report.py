"""Tables that the command line prints; imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelstore import (
    AnyBaseline,
    AnyEvaluation,
    Conformal,
    Evaluation,
    Importance,
    LeaderBoard,
    Manifest,
    ModelVersion,
    RegressionComparison,
    VersionComparison,
)
from modelstore.evaluation import format_figure, format_interval
from modelstore.intervals import wilson
from modelstore.search import Search
from training.cli.confusion import confusion_table
from training.evaluation.scores import MethodScore

MAX_EXAMPLES = MAX_TRIALS = 20
MAX_COLUMNS = 10  # of the table of important columns


def split_title(found: ModelVersion, manifest: Manifest) -> str:
    """Return the title of a version's figures on its test split, with the unit of its errors or its decision."""
    unit = f", errors in {manifest.target.unit}" if manifest.target and manifest.target.unit else ""
    policy = f", labels by {manifest.decision.policy.replace('_', ' ')}" if manifest.decision else ""
    return f"{found.name} version {found.version}, test split{unit}{policy}"


def print_evaluation(console: Console, evaluation: AnyEvaluation, title: str) -> None:
    """Print metrics and, of a classification, confusion matrix and per-class report of one split."""
    figures = ", ".join(f"{metric.name} {metric.text}" for metric in evaluation.figures)
    console.print(f"\n{title}: {figures}", highlight=False, soft_wrap=True)
    if isinstance(evaluation, Evaluation):
        for sentence in (*_labels(evaluation), *_certainty(evaluation)):
            console.print(sentence, highlight=False, soft_wrap=True)
        console.print(confusion_table(console, evaluation), _per_class(evaluation), markup=False)


def print_coverage(console: Console, conformal: Conformal | None) -> None:
    """Print how often prediction sets, or intervals, hold the truth of test rows, beside what was wanted."""
    if conformal is None or not conformal.test_coverage:
        return
    kind = "prediction sets" if conformal.score == "lac" else "prediction intervals"
    said = []
    for level, (hit, rows) in conformal.test_coverage.items():
        low, high = wilson(hit / rows, rows)
        said.append(f"{hit / rows:.3f} for {level} (95 % interval {low:.3f} to {high:.3f})")
    source = conformal.source.replace("_", "-")
    scored = f"{conformal.guarantee}, from {conformal.rows:,} {source} rows"
    console.print(f"{kind} hold the truth of test rows: {', '.join(said)}; {scored}", highlight=False, soft_wrap=True)


def print_comparison(console: Console, manifest: Manifest) -> None:
    """Print the leader board or, of a version that has none, test metrics of the model and the baselines."""
    test, board = manifest.metrics["test"], manifest.leaders
    names = [metric.name for metric in test.headline]
    if board is None:
        table = _table(f"on the same {test.rows} test rows", "method", *names)
        scores: dict[str, AnyEvaluation | AnyBaseline] = {"this model": test, **manifest.baselines}
        for name, score in scores.items():
            table.add_row(name, *(metric.text for metric in score.headline))
        console.print(table, markup=False)
        return
    console.print(_leader_table(board, names), markup=False)
    console.print(board.conclusion, highlight=False, soft_wrap=True, markup=False)
    if manifest.importance:
        _print_importance(console, manifest.importance)


def _print_importance(console: Console, found: Importance) -> None:
    """Print the most important columns, and those that say nearly the same."""
    figure = found.figure.replace("_", " ").replace("rmse", "RMSE")
    table = _table(f"{figure} that shuffling a column adds, {found.rows} test rows", "column", "mean", "95 % interval")
    for name, column in list(found.columns.items())[:MAX_COLUMNS]:
        table.add_row(name, format_figure(column.mean), format_interval(column.interval))
    console.print(table, markup=False)
    if (left := len(found.columns) - MAX_COLUMNS) > 0:
        console.print(f"and {left} more columns; GET /models/{{model}} and the manifest have them", highlight=False)
    for group in found.together:
        names = ", ".join(group.columns)
        console.print(
            f"shuffled together: {format_figure(group.mean)} for {names}", highlight=False, soft_wrap=True, markup=False
        )


def print_search(console: Console, search: Search) -> None:
    """Print the settings that a search tried, the best first; of many, the first twenty."""
    table = _table(f"{len(search.trials)} settings tried, judged by {search.judged_by}", "settings", search.metric)
    ordered = sorted(search.trials, key=lambda trial: math.inf if trial.loss is None else trial.loss)
    for trial in ordered[:MAX_TRIALS]:
        loss = "failed" if trial.loss is None else format_figure(trial.loss)
        table.add_row(trial.text, loss)
    console.print(table, markup=False)
    if (more := len(ordered) - MAX_TRIALS) > 0:
        console.print(f"and {more} worse ones, in the manifest", highlight=False)


def _leader_table(board: LeaderBoard, names: Sequence[str]) -> Table:
    """Return the leader board, narrow enough for a terminal of 80 characters: no lines, no column without a figure."""
    blends = any(leader.weight is not None for leader in board.leaders)
    columns = (*names[:-1], f"{names[-1]} ± error", *(("weight",) if blends else ()), "train s", "row µs")
    table = Table(title=Text(f"on the same {board.rows} test rows, the best first"), title_justify="left")
    table.box, table.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    table.add_column("method", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for leader in board.leaders:
        name = "this model" if leader.role == "model" else leader.name
        figures = [metric.text for metric in leader.figures.headline]
        figures[-1] += "" if leader.error is None else f" ± {format_figure(leader.error)}"
        weight = "" if leader.weight is None else f"{leader.weight:.2f}"
        times = (f"{leader.train_s:.1f}", f"{leader.row_us:,.0f}")
        table.add_row(name, *figures, *((weight,) if blends else ()), *times)
    return table


def print_cross_validation(console: Console, scores: Sequence[MethodScore], title: str) -> None:
    """Print mean and standard deviation over the folds, one line per method; there is at least one."""
    table = _table(title, "method", *scores[0].figures)
    for score in scores:
        table.add_row(
            score.method, *(f"{format_figure(mean)} ± {format_figure(std)}" for mean, std in score.figures.values())
        )
    console.print(table, markup=False)


def print_two_versions(console: Console, comparison: VersionComparison) -> None:
    """Print two versions side by side, and test rows that they answer differently."""
    ours, theirs = comparison.versions
    table = _table(f"{comparison.model}, test split", "", f"version {ours}", f"version {theirs}")
    columns = [_column(comparison.metrics.get(str(version))) for version in comparison.versions]
    for title in columns[0] or columns[1]:
        table.add_row(title, *(column.get(title, "") for column in columns))
    console.print(table, markup=False)
    console.print(_difference(comparison), highlight=False, soft_wrap=True)
    if comparison.examples:
        rows = _table("", "line", "truth", f"version {ours}", f"version {theirs}")
        for row in comparison.examples[:MAX_EXAMPLES]:
            answers = (row.truth, row.first, row.second)
            rows.add_row(
                str(row.line or "feedback"), *(said if isinstance(said, str) else f"{said:.6g}" for said in answers)
            )
        console.print(rows, markup=False)


def _difference(comparison: VersionComparison) -> str:
    """Return how the answers of two versions differ, and whether that may be chance."""
    ours, theirs = comparison.versions
    differing = f"{comparison.disagreeing} of {comparison.rows} test rows are answered differently"
    if isinstance(comparison, RegressionComparison):
        first, second = comparison.rmse
        return (
            f"{differing}, the largest differences below; version {ours} is closer to the truth in "
            f"{comparison.first_closer}, version {theirs} in {comparison.second_closer} (sign test: p = "
            f"{comparison.p_value:.3g}); RMSE on these rows {format_figure(first)} and {format_figure(second)}"
        )
    return (
        f"{differing}; only version {ours} is right about {comparison.only_first_right}, only version {theirs} about "
        f"{comparison.only_second_right} (McNemar: p = {comparison.p_value:.3g})"
    )


def _column(test: AnyEvaluation | None) -> dict[str, str]:
    """Return the figures of a version by title; empty if it has no test split."""
    if test is None:
        return {}
    return {"rows": str(test.rows), **{metric.name: metric.text for metric in test.figures}}


def _labels(evaluation: Evaluation) -> Iterator[str]:
    """Yield how many labels are right, where a decision makes that another figure than the accuracy."""
    right = sum(counts[k] for k, counts in enumerate(evaluation.confusion)) / evaluation.rows
    if abs(right - evaluation.accuracy) > 0.5 / evaluation.rows:
        share = format_figure(right)
        yield f"labels as decided: {share} of them are right; accuracy is that of the most probable classes"


def _certainty(evaluation: Evaluation) -> Iterator[str]:
    """Yield how far figures may be chance; old manifests do not say."""
    if evaluation.intervals:
        named = (f"{name.replace('_', ' ')} {format_interval(pair)}" for name, pair in evaluation.intervals.items())
        yield f"95 % intervals: {', '.join(named)}"
    if evaluation.calibration_band:
        limit = evaluation.calibration_band[1]
        most = format_figure(limit)
        if evaluation.calibration_error <= limit:
            yield f"calibration: cannot be told from a calibrated one, whose error is up to {most} by chance"
        else:
            yield f"calibration: the probabilities are off, as the error of a calibrated one is at most {most}"


def _per_class(evaluation: Evaluation) -> Table:
    table = _table("per class", "class", "precision", "recall", "F1", "rows")
    for name, report in evaluation.per_class.items():
        figures = (f"{value:.4f}" for value in (report.precision, report.recall, report.f1))
        table.add_row(name, *figures, str(report.support))
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=Text(title) if title else None, title_justify="left")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table
