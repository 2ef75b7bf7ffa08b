"""The challenges of the tutorials, as a table: deeper and wider networks, other activations.

    python -m benchmarks.quality.challenges

Every network is cross-validated on the training rows, as by `python -m training compare`, for several seeds of weights
and folds; docs/training.md has the table.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from training.config.recipe import BUILT_IN, Recipe, load_recipe
from training.config.run import read_overrides
from training.data.splits import load_splits
from training.evaluation.cross_validation import folds_for, predict_unseen
from training.evaluation.task import evaluation_of

DATA = Path(__file__).parents[2] / "data"
FOLDS, SEEDS = 5, range(5)
RECIPES = ("cancer", "iris", "blobs")
CHALLENGES: dict[str, Sequence[str]] = {
    "as the recipe": (),
    "deeper": ("hidden=64,32,16",),
    "wider": ("hidden=256,128",),
    "no hidden layer": ("hidden=",),
    "tanh": ("activation=tanh",),
    "GELU": ("activation=gelu",),
}


def measure(recipe: Recipe, seeds: Sequence[int], data: Path = DATA) -> tuple[list[float], list[float]]:
    """Return log loss and accuracy on rows that the networks have not seen, of each seed."""
    losses, shares = [], []
    for seed in seeds:
        settings = recipe.training.model_copy(update={"seed": seed})
        splits = load_splits(recipe.data, data, settings)
        train = splits.train
        answers = np.empty((len(train), len(train.classes)))
        for rest, held in folds_for(recipe, splits, seed, FOLDS):
            answers[held] = predict_unseen(settings, train.rows(rest), train.rows(held), splits.way)
        losses.append(float(evaluation_of(train).row_losses(answers, train.y).mean()))
        shares.append(float((answers.argmax(axis=1) == train.y).mean()))
    return losses, shares


def rows() -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    yield f"| network | line | {' | '.join(RECIPES)} |"
    yield f"|---|---|{'---|' * len(RECIPES)}"
    for name, assignments in CHALLENGES.items():
        line = " ".join(("fit NAME", *(f"--set {text}" for text in assignments)))
        cells = [_cell(load_recipe(recipe, BUILT_IN), assignments) for recipe in RECIPES]
        yield f"| {name} | `{line}` | {' | '.join(cells)} |"


def _cell(recipe: Recipe, assignments: Sequence[str]) -> str:
    changed = recipe.with_overrides(read_overrides(None, assignments, None))
    losses, shares = measure(changed, SEEDS)
    return f"{statistics.fmean(losses):.3f} ± {statistics.stdev(losses):.3f}, {statistics.fmean(shares):.1%}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    for row in rows():
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
