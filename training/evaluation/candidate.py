"""Measure a candidate: its metrics on every split, and beside simple models.

It must not know the model store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from modelstore import AnyBaseline, AnyEvaluation, Decision, EpochMetrics, LeaderBoard, Notice
from modelstore.overrides import SETTINGS
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.errors import DatasetError
from training.evaluation import baselines
from training.evaluation.gate import Skill
from training.evaluation.leaders import Rival, make_board
from training.evaluation.metrics import Floats, Split
from training.evaluation.task import evaluation_of, mean_gain, measure, pieces_of
from training.learners.mlp.diagnostics import find_problems, loss_of_guessing, require_learnt
from training.learners.protocol import Fitted, Predict, Probe, Report, predictor

MANY_ROWS = 200_000  # with more rows, long steps outside the epochs are announced


@dataclass(frozen=True)
class Candidate:
    """A trained model with its measurements.

    Attributes:
        module: the model, in evaluation mode.
        predict: the model as a NumPy function.
        history: metrics of its epochs, first to last.
        temperature: divisor of its logits, if there is one.
        decision: how it chooses a class, if not the most probable one.
        metrics: evaluation on each split, by the name of the split.
        baselines: scores of simple models on the test rows, by name.
        leaders: it beside its members and baselines on the same test rows.
        skill: how much it improves on the naive baseline on the test rows, with the standard error.
    """

    module: nn.Module
    predict: Predict
    history: tuple[EpochMetrics, ...]
    metrics: Mapping[str, AnyEvaluation]
    baselines: Mapping[str, AnyBaseline]
    leaders: LeaderBoard
    skill: Skill
    temperature: float | None = None
    decision: Decision | None = None


def measure_candidate(
    fitted: Fitted,
    recipe: Recipe,
    splits: Splits,
    rows: Mapping[Split, Dataset],
    report: Report,
    *,
    train_s: float,
    decision: Decision | None = None,
) -> Candidate:
    """Measure a trained model on every split, and report findings about its training.

    Args:
        fitted: the result of the learner.
        recipe: the recipe that it was trained with.
        splits: the training and the test split.
        rows: the rows of each split; those of the training split without the validation rows.
        report: receives notices and warnings.
        train_s: seconds that the training took.
        decision: how it chooses a class, if not the most probable one.

    Raises:
        DatasetError: if a row overflows the network.
        Diverged: if the loss is not finite, or ended far above the loss of guessing.
    """
    task = evaluation_of(splits.train)
    predict, guessing = predictor(fitted.module), loss_of_guessing(len(splits.train.classes))
    _announce(splits, rows["train"], report)
    metrics: dict[str, AnyEvaluation] = {
        name: task.evaluate(_finite_pieces(predict, part, name), part.classes, name, decision)
        for name, part in rows.items()
    }
    _diagnose(fitted, recipe, task.training_loss(metrics["train"]), guessing, report)
    simple = baselines.fit_all(splits.train)
    model = Rival(recipe.model, "model", predict, train_s)
    members = [Rival(part.name, "member", predictor(part.module), part.train_s, part.weight) for part in fitted.members]
    board = make_board([model, *members, *simple.values()], splits.test, recipe.training.learner, report)
    scores = {leader.name: leader.figures for leader in board.leaders if leader.role == "baseline"}
    naive = simple[task.naive].predict
    scores[task.naive] = task.score(measure(naive, splits.test, "test"))  # on all rows, because the gate uses it
    skill = Skill(*mean_gain(predict, naive, splits.test), scores[task.naive], task.naive)
    return Candidate(
        fitted.module, predict, fitted.history, metrics, scores, board, skill, fitted.temperature, decision
    )


def _announce(splits: Splits, fitted_rows: Dataset, report: Report) -> None:
    """Report what takes long, and whether the simple models use fewer rows."""
    if len(fitted_rows) > MANY_ROWS:
        report(Notice(message=f"measuring on {len(splits.train):,} training and {len(splits.test):,} test rows"))
    if fewer_rows := baselines.describe_sample(splits.train, splits.test):
        report(Notice(message=fewer_rows))


def _diagnose(fitted: Fitted, recipe: Recipe, train_loss: float, guessing: float, report: Report) -> None:
    """Report problems of the training.

    Raises:
        Diverged: if the loss is not finite, or ended far above the loss of guessing.
    """
    settings = recipe.training
    has_rate = "lr" in SETTINGS[settings.learner]  # advice on settings that a learner lacks would be useless
    require_learnt(train_loss, guessing, settings.lr if has_rate else None)
    for finding in find_problems(fitted.history, guessing, settings.patience) if has_rate else ():
        report(Notice(level="warning", message=finding))


def make_probe(recipe: Recipe, test: Dataset) -> Probe | None:
    """Return a probe of the test rows for every `report_every` epochs, or None if that is 0."""
    if not recipe.report_every:
        return None
    task = evaluation_of(test)
    return Probe(recipe.report_every, task.probed, lambda predict: task.probe(predict(test.x), test.y))


def _finite_pieces(predict: Predict, rows: Dataset, split: Split) -> Iterator[tuple[Floats, Any]]:
    """Yield answers and truths, chunk by chunk.

    Raises:
        DatasetError: if an answer is not finite; names the line of the first such row.
    """
    seen = 0
    for answers, y in pieces_of(predict, rows):
        lost = ~np.isfinite(answers).all(axis=1)  # (n,)
        if lost.any():
            problem = "values so far outside the training range that the network overflows"
            raise DatasetError(f"{split} split", problem, line=int(rows.lines[seen + lost.argmax()]))
        seen += len(y)
        yield answers, y
