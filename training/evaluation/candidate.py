"""Measure a candidate: its metrics on every split, and beside simple models.

It must not know the model store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from modelstore import (
    AnyBaseline,
    AnyEvaluation,
    Conformal,
    Decision,
    EpochMetrics,
    Importance,
    LeaderBoard,
    Notice,
    Slices,
)
from modelstore.overrides import SETTINGS
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.evaluation import baselines
from training.evaluation.gate import Skill
from training.evaluation.importance import LEAST_S, SHARE, measure_importance
from training.evaluation.leaders import Rival, make_board
from training.evaluation.metrics import Split
from training.evaluation.slices import measure_slices
from training.evaluation.task import evaluation_of, mean_gain, measure
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
        conformal: scores for prediction sets, if there are any.
        importance: how much each column matters to it on the test rows, if that was measured.
        slices: how it did on parts of the test rows.
        stopped: whether its training was ended early, so that the same seed may give another model.
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
    conformal: Conformal | None = None
    importance: Importance | None = None
    slices: Slices | None = None
    stopped: bool = False


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

    `rows` are those of each split, without the validation rows; `train_s` the seconds that the training took.

    Raises:
        DatasetError: if a row overflows the network.
        Diverged: if the loss is not finite, or ended far above the loss of guessing.
    """
    predict = predictor(fitted.module)
    _announce(splits, rows["train"], report)
    metrics: dict[str, AnyEvaluation] = {name: measure(predict, part, name, decision) for name, part in rows.items()}
    _diagnose(fitted, recipe, splits.train, metrics["train"], report)
    scores, board, skill = _compare(fitted, predict, recipe, splits, report, train_s=train_s)
    importance = measure_importance(predict, splits.test, report, budget_s=max(LEAST_S, SHARE * train_s))
    return Candidate(
        fitted.module,
        predict,
        fitted.history,
        metrics,
        scores,
        board,
        skill,
        temperature=fitted.temperature,
        decision=decision,
        importance=importance,
        slices=measure_slices(predict, splits.test, splits.target.name, decision=decision, importance=importance),
        stopped=fitted.stopped,
    )


def _compare(
    fitted: Fitted, predict: Predict, recipe: Recipe, splits: Splits, report: Report, *, train_s: float
) -> tuple[dict[str, AnyBaseline], LeaderBoard, Skill]:
    """Return the scores of simple models, the leader board, and how much the model improves on the naive one."""
    task, simple = evaluation_of(splits.train), baselines.fit_all(splits.train, report)
    model = Rival(recipe.model, "model", predict, train_s)
    members = [Rival(part.name, "member", predictor(part.module), part.train_s, part.weight) for part in fitted.members]
    board = make_board([model, *members, *simple.values()], splits.test, recipe.training.learner, report)
    scores = {leader.name: leader.figures for leader in board.leaders if leader.role == "baseline"}
    naive = simple[task.naive].predict
    scores[task.naive] = task.score(measure(naive, splits.test, "test"))  # on all rows, because the gate uses it
    return scores, board, Skill(*mean_gain(predict, naive, splits.test), scores[task.naive], task.naive)


def _announce(splits: Splits, fitted_rows: Dataset, report: Report) -> None:
    """Report what takes long, and whether the simple models use fewer rows."""
    if len(fitted_rows) > MANY_ROWS:
        report(Notice(message=f"measuring on {len(splits.train):,} training and {len(splits.test):,} test rows"))
    if fewer_rows := baselines.describe_sample(splits.train, splits.test):
        report(Notice(message=fewer_rows))


def _diagnose(fitted: Fitted, recipe: Recipe, train: Dataset, measured: AnyEvaluation, report: Report) -> None:
    """Report problems of the training.

    Raises:
        Diverged: if the loss is not finite, or ended far above the loss of guessing.
    """
    settings, guessing = recipe.training, loss_of_guessing(len(train.classes))
    has_rate = "lr" in SETTINGS[settings.learner]  # advice on settings that a learner lacks would be useless
    require_learnt(evaluation_of(train).training_loss(measured), guessing, settings.lr if has_rate else None)
    for finding in find_problems(fitted.history, guessing, settings.patience) if has_rate else ():
        report(Notice(level="warning", message=finding))


def make_probe(recipe: Recipe, test: Dataset) -> Probe | None:
    """Return a probe of the test rows for every `report_every` epochs, or None if that is 0."""
    if not recipe.report_every:
        return None
    task = evaluation_of(test)
    return Probe(recipe.report_every, task.probed, lambda predict: task.probe(predict(test.x), test.y))
