"""Measure one cell in a process of its own, with memory and threads of one system alone.

Entry point: `python -m benchmarks.quality.measure CELL`, with the cell as JSON. It writes the finding as its last line.
"""

from __future__ import annotations

import argparse
import collections
import resource
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.quality import autogluon, published, tables
from benchmarks.quality.findings import Cell, Finding
from benchmarks.quality.systems import AUTOGLUON, FITS, IMAGES, OURS, Work
from modelstore import Overrides
from training.config.default_recipe import recipe_for_data
from training.config.learner_settings import TrainingSettings
from training.data.holdout import Hashed
from training.data.splits import Splits, load_splits
from training.evaluation.ranking import ranking_of
from training.evaluation.task import evaluation_of, pieces_of
from training.learners.budget import default_budget_s

TIMED_CALLS, TIMED_S = 51, 3.0
DIGITS = 4


class Answered(NamedTuple):
    """The answers to the test rows, and what they cost; see `Finding`."""

    answers: npt.NDArray[Any]
    train_s: float
    cpu_s: float
    row_us: float


def main() -> None:
    """Measure the cell that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.measure")
    parser.add_argument("cell", type=Cell.model_validate_json)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--autogluon", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure_cell(options.cell, Path(folder), options.threads, options.autogluon)
    sys.stdout.write(f"\n{found.model_dump_json()}\n")


def measure_cell(cell: Cell, folder: Path, threads: int = 1, python: str = "") -> Finding:
    """Return the finding of a cell, measured in an empty folder; `python` is that of an environment with AutoGluon."""
    splits, settings = load(cell, folder)
    work = Work(splits, settings, threads)
    if cell.system == AUTOGLUON:
        budget_s = cell.budget_s or default_budget_s(len(splits.train))
        answered = Answered(*autogluon.fit(splits, python, folder, budget_s=budget_s, threads=threads))
    else:
        answered = _fit_here(work, cell.system)
    return _describe(cell, splits, answered)


def load(cell: Cell, folder: Path) -> tuple[Splits, TrainingSettings]:
    """Return the rows of a cell, and the settings that a table of this size gets without a recipe.

    Split 0 is the one of the service, which holds rows out by a hash of their content; equal rows stay on one side.
    """
    table = tables.find(cell.file, folder)
    learner = cell.system if cell.system in (*OURS, IMAGES) else "linear"
    budget = {"budget_s": cell.budget_s} if learner in ("auto", "realmlp") and cell.budget_s else {}
    more = published.settings_of(cell.file, cell.system)
    overrides = Overrides.model_validate({"learner": learner, "seed": cell.seed, **budget, **more})
    recipe = recipe_for_data(table.path, table.target, options=table.options, overrides=overrides)
    splits = load_splits(recipe.data, table.path.parent, recipe.training, way=Hashed(cell.seed), calibrate=True)
    return splits, recipe.training


def _fit_here(work: Work, system: str) -> Answered:
    test = work.splits.test
    started_s, cpu_s = time.perf_counter(), time.process_time()
    answer = FITS[system](work)
    answer(test.x[:1])
    train_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_s
    answers = np.concatenate([part for part, _ in pieces_of(answer, test)])
    times_s, timed_from_s = list[float](), time.perf_counter()
    while len(times_s) < TIMED_CALLS and time.perf_counter() - timed_from_s < TIMED_S:
        called_s = time.perf_counter()
        answer(test.x[:1])
        times_s.append(time.perf_counter() - called_s)
    return Answered(answers, train_s, cpu_s, 1e6 * statistics.median(times_s))


def _describe(cell: Cell, splits: Splits, answered: Answered) -> Finding:
    train, test = splits.train, splits.test
    losses = evaluation_of(test).row_losses(answered.answers, test.y)
    ranking = ranking_of(answered.answers, test.y) if test.classes else None
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Finding(
        cell=cell,
        task=test.task,
        rows=len(train) + len(test),
        columns=dict(collections.Counter(column.type for column in train.columns)),
        left_out=tuple(f"{column.name} ({column.reason})" for column in splits.left_out),
        losses=tuple(float(f"{loss:.{DIGITS}g}") for loss in losses),
        accuracy=float((answered.answers.argmax(axis=1) == test.y).mean()) if test.classes else None,
        auc=ranking and ranking.roc_auc,
        auc_error=ranking and ranking.standard_error,
        train_s=round(answered.train_s, 2),
        cpu_s=round(answered.cpu_s, 2),
        row_us=round(answered.row_us, 1),
        peak_mb=round(max(usage) / 1024, 1),
        measured=f"{datetime.now(UTC):%Y-%m-%d}",
    )


if __name__ == "__main__":
    main()
