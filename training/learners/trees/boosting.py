"""Boosted trees: scikit-learn's histogram gradient boosting, stopped early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from torch import nn

from modelstore import Notice
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import Grouped, HoldOut, Shuffled
from training.evaluation.metrics import Ints
from training.learners.budget import default_budget_s
from training.learners.folds import FOLDS, folds_in
from training.learners.mlp.network import BinaryLink, logits_of
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.learners.trees.choice import Part, fit_best, parts_of, trials_of
from training.learners.trees.inputs import Inputs, codes_of, inputs_of
from training.learners.trees.model import TreeModel
from training.learners.trees.plan import BoostingSetting, Work, plan_for, settings_for
from training.learners.trees.scikit import Boosted, read_boosting
from training.learners.trees.walker import Walker, constant_tree

FOLD_ROWS = 20_000  # with at most so many training rows, one model a fold
STOPPING_SHARE = 10  # with more, one part of so many stops the one model
FEW_OUTPUTS = 7  # with more, there would be too few iterations for the model of each fold
PATIENCE = 30  # iterations
PARALLEL_ROWS = 20_000  # with fewer, threads wait for each other most of the time


class _Rows(NamedTuple):
    """Columns (N, C), of which the first are codes, truths (N,), and the number of classes, 0 for a regression."""

    x: Any
    y: Any
    codes: tuple[int, ...]
    classes: int

    @property
    def outputs(self) -> int:
        """Return the number of sums that trees are for."""
        return logits_of(self.classes)

    def at(self, places: Ints) -> _Rows:
        """Return the rows at these positions."""
        return self._replace(x=self.x[places], y=self.y[places])


class _Model(NamedTuple):
    """One model, its iterations, and the sum of its losses on the held rows."""

    boosted: Boosted
    iterations: int
    loss: float


class TreesLearner:
    """Fits boosted trees; see `Learner` and `FoldLearner`.

    With few rows and no validation rows, one model a fold, which are averaged, or of many classes one for all rows
    with as many iterations as those; else one, stopped by the validation rows, in time by the latest rows, or by a
    tenth of the training rows.
    """

    def __init__(self, settings: TrainingSettings, way: HoldOut | None = None) -> None:
        """Create the learner; `way` is how rows are held out to stop it by, by default drawn."""
        self._way = way or Shuffled()
        self._seed, self._budget_s, self._own = settings.seed, settings.budget_s, settings.trees

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit the trees; see `Learner.fit`."""
        if validation is not None:
            x, y = np.concatenate([train.x, validation.x]), np.concatenate([train.y, validation.y])
            part = Part(*np.split(np.arange(len(x)), [len(train)]))
            both = replace(train, x=x, y=y, groups=None)  # more than these is not looked at
            return Fitted(self._fit(both, [part], report).module)
        if len(train) <= FOLD_ROWS:
            return self.fit_folds(train, folds_in(self._way, train, self._seed, FOLDS), report)
        folds = folds_in(self._way, train, self._seed, STOPPING_SHARE)
        if isinstance(self._way, Grouped):  # one group may be most of the rows
            folds.sort(key=lambda held: abs(len(held) - len(train) / STOPPING_SHARE))
        return self.fit_folds(train, folds[:1], report)

    def fit_folds(self, train: Dataset, folds: Sequence[Ints], report: Report) -> Fitted:
        """Fit one model a fold, without its rows, and average them in one module; see `FoldLearner.fit_folds`."""
        return self._fit(train, parts_of(len(train), folds), report)

    def _fit(self, train: Dataset, parts: Sequence[Part], report: Report) -> Fitted:
        inputs = inputs_of(train.columns)
        rows = _Rows(predictor(inputs)(train.x), train.y, codes_of(train.columns), len(train.classes))
        again = len(parts) > 1 and rows.outputs > FEW_OUTPUTS
        budget_s = self._budget_s or default_budget_s(len(train))
        plan = plan_for(_describe_work(rows, parts, again=again), budget_s, settings_for(self._own))

        def fit(setting: BoostingSetting, part: Part) -> _Model:
            """Boost on a part's rows until its held rows gain nothing."""
            most = plan[setting]
            return _boost(rows.at(part.rest), rows.at(part.held), setting.within(most), most, self._seed)

        setting, models = fit_best("trees", tuple(plan), parts, fit, report)
        report(Notice(message=_describe(setting.within(plan[setting]), models)))
        answers = np.zeros((len(train), max(1, rows.classes)), dtype=np.float32)
        for part, model in zip(parts, models, strict=True):
            answers[part.held] = predictor(_make_module(inputs, rows, [model]))(train.x[part.held])
        places = np.sort(np.concatenate([part.held for part in parts]))
        if again:
            iterations = round(float(np.mean([model.iterations for model in models])))
            models = [_boost(rows, None, setting.within(plan[setting]), max(1, iterations), self._seed)]
        return Fitted(_make_module(inputs, rows, models).eval(), held_out=HeldOut.at(answers[places], train, places))


def _describe_work(rows: _Rows, parts: Sequence[Part], *, again: bool) -> Work:
    """Return what is fitted; `again` says that one model is fitted to all rows after those of the parts."""
    return Work(
        rows=len(parts[0].rest),
        columns=rows.x.shape[1],
        outputs=rows.outputs,
        trials=len(trials_of(parts)),
        models=len(parts) + again,
        averaged=1 if again else len(parts),
    )


def _boost(rows: _Rows, held: _Rows | None, setting: BoostingSetting, most: int, seed: int) -> _Model:
    """Fit one model and keep its iterations up to the one with the smallest loss on the held rows, if there are any.

    A class without rows is as rare as half a row would make it; without a second class there is nothing to boost.
    """
    present = np.unique(rows.y) if rows.classes else np.empty(0, dtype=np.int64)
    if len(present) == 1:
        return _Model(_extend_to_all(Boosted([[]], np.empty(0)), present, rows), 0, 0.0)
    known = held and held.at(np.flatnonzero(np.isin(held.y, present) | (rows.classes == 0)))
    stopping = {"X_val": known.x, "y_val": known.y} if known and len(known.y) else {}
    kind = HistGradientBoostingClassifier if rows.classes else HistGradientBoostingRegressor
    model = kind(
        **setting._asdict(),
        max_iter=most,
        early_stopping=bool(stopping),
        n_iter_no_change=PATIENCE,
        categorical_features=list(range(len(rows.codes))) or None,
        random_state=seed,
    )
    with threadpool_limits(limits=1 if len(rows.y) < PARALLEL_ROWS else None, user_api="openmp"):
        model.fit(rows.x, rows.y, **stopping)
    if not stopping:
        return _Model(_extend_to_all(read_boosting(model, most, rows.codes), present, rows), most, 0.0)
    losses = -model.validation_score_ * len(stopping["y_val"])  # before the first iteration, and after each
    best = max(1, int(np.argmin(losses)))
    return _Model(_extend_to_all(read_boosting(model, best, rows.codes), present, rows), best, float(losses[best]))


def _extend_to_all(model: Boosted, present: Ints, rows: _Rows) -> Boosted:
    """Return a model of the present classes as one of all classes; of two classes, the second has the one output.

    The sum of an absent class lies below that of the first present one as if it had half a row.
    """
    if len(present) == rows.classes or not rows.classes:
        return model
    sums = model.base if len(present) > 2 else np.append(0.0, model.base)
    base = np.full(rows.classes, sums[0] + math.log(0.5 / np.count_nonzero(rows.y == present[0])))
    base[present] = sums
    trees = []
    for iteration in model.trees:
        outputs = [constant_tree([0.0])] * rows.classes
        for place, tree in zip(present[len(present) - len(iteration) :], iteration, strict=True):
            outputs[place] = tree
        trees.append(outputs)
    if rows.classes > 2:
        return Boosted(trees, base)
    return Boosted([outputs[1:] for outputs in trees], base[1:] - base[:1])


def _make_module(inputs: Inputs, rows: _Rows, models: Sequence[_Model]) -> TreeModel:
    """Return the module whose sums are the means of the models' sums."""
    iterations = [iteration for model in models for iteration in model.boosted.trees]
    trees = [tree._replace(values=tree.values / len(models)) for iteration in iterations for tree in iteration]
    base = np.mean([model.boosted.base for model in models], axis=0)
    link = nn.Softmax(dim=1) if rows.classes > 2 else BinaryLink() if rows.classes else nn.Identity()
    return TreeModel(inputs, Walker(trees, base, rows.x.shape[1]), link)


def _describe(setting: BoostingSetting, models: Sequence[_Model]) -> str:
    counts = ", ".join(str(model.iterations) for model in models)
    return (
        f"trees: {len(models)} model{'s' if len(models) > 1 else ''}, stopped after {counts} iterations; "
        f"learning rate {setting.learning_rate:g}, {setting.max_leaf_nodes} leaves"
    )
