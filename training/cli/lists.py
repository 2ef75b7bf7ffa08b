"""Lists of versions and recipes that the command line prints; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console

from modelstore import BrokenVersion, ModelRepository
from training.cli.report import _table
from training.config.recipe import Recipe


def print_versions(console: Console, repository: ModelRepository) -> None:
    """Print all versions of all models with their test metrics, and mark the active ones and their shadows."""
    table = _table("", "model", "version", "active", "test metrics", "rows", "created (UTC)")
    for name in repository.names():
        marks = {repository.shadow(name): "shadow", repository.active(name): "active"}
        for version in repository.versions(name):
            table.add_row(name, str(version), marks.get(version, ""), *_figures(repository, name, version))
    if table.row_count:
        console.print(table, markup=False)
    else:
        console.print(f"no models in {repository.root} yet; `python -m training ensure` trains the built-in ones")


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
