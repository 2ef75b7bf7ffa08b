"""Tables that the command line prints; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from modelstore import (
    AnyBaseline,
    AnyEvaluation,
    BrokenVersion,
    Evaluation,
    Leader,
    Manifest,
    ModelRepository,
    ModelVersion,
    RegressionComparison,
    VersionComparison,
)
from modelstore.evaluation import shown
from training.cli.confusion import confusion_table
from training.config.recipe import Recipe
from training.evaluation.scores import MethodScore

MAX_EXAMPLES = 20


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
        for sentence in _certainty(evaluation):
            console.print(sentence, highlight=False, soft_wrap=True)
        console.print(confusion_table(console, evaluation), _per_class(evaluation), markup=False)


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
    columns = (*names, "±", "weight", "trained, s", "a row, µs")
    table = _table(f"on the same {board.rows} test rows, the best first", "method", *columns)
    for leader in board.leaders:
        table.add_row(*_leader_cells(leader))
    console.print(table, markup=False)
    console.print(board.conclusion, highlight=False, soft_wrap=True, markup=False)


def _leader_cells(leader: Leader) -> tuple[str, ...]:
    name = "this model" if leader.role == "model" else leader.name
    figures = (metric.text for metric in leader.figures.headline)
    error = "" if leader.error is None else shown(leader.error)
    weight = "" if leader.weight is None else f"{leader.weight:.2f}"
    return name, *figures, error, weight, f"{leader.train_s:.1f}", f"{leader.row_us:,.0f}"


def print_versions(console: Console, repository: ModelRepository) -> None:
    """Print all versions of all models with their test metrics, and mark the active ones."""
    table = _table("", "model", "version", "active", "test metrics", "rows", "created (UTC)")
    for name in repository.names():
        active = repository.active(name)
        for version in repository.versions(name):
            table.add_row(
                name, str(version), "active" if version == active else "", *_figures(repository, name, version)
            )
    if table.row_count:
        console.print(table, markup=False)
    else:
        console.print(f"no models in {repository.root} yet; `python -m training ensure` trains the built-in ones")


def print_cross_validation(console: Console, scores: Sequence[MethodScore], title: str) -> None:
    """Print mean and standard deviation over the folds, one line per method; there is at least one."""
    table = _table(title, "method", *scores[0].figures)
    for score in scores:
        table.add_row(score.method, *(f"{shown(mean)} ± {shown(std)}" for mean, std in score.figures.values()))
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
            rows.add_row(str(row.line), *(said if isinstance(said, str) else f"{said:.6g}" for said in answers))
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
            f"{comparison.p_value:.3g}); RMSE on these rows {shown(first)} and {shown(second)}"
        )
    return (
        f"{differing}; only version {ours} is right about {comparison.only_first_right}, only version {theirs} about "
        f"{comparison.only_second_right} (McNemar: p = {comparison.p_value:.3g})"
    )


def print_recipes(console: Console, recipes: Iterable[tuple[str, Recipe]]) -> None:
    """Print the recipes, each with its model and main settings."""
    table = _table("", "recipe", "model", "network", "hidden", "optimiser", "lr", "epochs", "batch")
    for name, recipe in recipes:
        settings = recipe.training
        if settings.learner != "mlp":
            table.add_row(name, recipe.model, settings.learner)
            continue
        hidden = ",".join(map(str, settings.hidden)) or "none"
        figures = (f"{settings.lr:g}", str(settings.epochs), str(settings.batch_size or "full"))
        table.add_row(name, recipe.model, recipe.network, hidden, settings.optimizer, *figures)
    console.print(table, markup=False)


def _figures(repository: ModelRepository, name: str, version: int) -> tuple[str, ...]:
    try:
        manifest = repository.find(name, version).manifest()
    except BrokenVersion as error:
        return ("broken", error.reason)
    test = manifest.metrics.get("test")
    created = f"{manifest.created:%Y-%m-%d %H:%M}"
    if test is None:
        return ("", "", created)
    return (", ".join(f"{metric.name} {metric.text}" for metric in test.headline), str(test.rows), created)


def _column(test: AnyEvaluation | None) -> dict[str, str]:
    """Return the figures of a version by title; empty if it has no test split."""
    if test is None:
        return {}
    return {"rows": str(test.rows), **{metric.name: metric.text for metric in test.figures}}


def _certainty(evaluation: Evaluation) -> Iterator[str]:
    """Yield how far figures may be chance; old manifests do not say."""
    if evaluation.intervals:
        named = ((name.replace("_", " "), limits) for name, limits in evaluation.intervals.items())
        yield "95 % intervals: " + ", ".join(f"{name} {shown(low)} to {shown(high)}" for name, (low, high) in named)
    if evaluation.calibration_band:
        error, most = evaluation.calibration_error, evaluation.calibration_band[1]
        if error <= most:
            yield f"calibration: cannot be told from a calibrated one, whose error is up to {shown(most)} by chance"
        else:
            yield f"calibration: the probabilities are off, as the error of a calibrated one is at most {shown(most)}"


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
