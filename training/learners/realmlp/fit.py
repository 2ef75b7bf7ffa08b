"""The training loop of RealMLP: several networks at once, the best epoch kept.

The same seed on the same machine gives the same weights. This module must not know files, data sources or the console.

Source: D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
Tabular Data", NeurIPS 2024. Unlike there, classes are not smoothed and the best epoch is that of the lowest log loss,
because probabilities count here; missing numbers are admitted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from modelstore import EpochMetrics, Notice
from modelstore.overrides import RealMLPSettings
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import HoldOut, Shuffled
from training.evaluation.metrics import Ints
from training.learners.auto.unseen import HeldOutPart, hold_out
from training.learners.budget import TimeLimit, default_budget_s
from training.learners.mlp.diagnostics import loss_of_guessing, require_converging
from training.learners.progress import EpochProgress
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.learners.realmlp.inputs import fit_inputs
from training.learners.realmlp.network import Networks, RealMLPClassifier, RealMLPRegressor
from training.learners.realmlp.plan import Plan, hidden_for, networks_for, plan_for
from training.learners.realmlp.rows import HeldOutRows, Rows, prepare
from training.learners.realmlp.steps import Steps, initialise
from training.preprocessing.scaler import fit_scaler

FIRST_ROWS = 2_048  # rows of each network on which its first weights are scaled
MOST_HELD = 20_000  # rows that choose the epoch, evenly spread
BEYOND_BEST, MORE_EPOCHS = 3, 40  # stop after 3 x the best epoch + 40, as AutoGluon does

STOPPED = "stopped after epoch {epoch} of {epochs}, {why}; the same seed may give another model"

Publish = Callable[[], nn.Module]


class _Seen(NamedTuple):
    """Which rows each network learns from, and which choose the epoch.

    Attributes:
        parts: positions in the training rows, of each network.
        held: the rows that choose the epoch.
        folds: positions in `held` that each network has not seen.
    """

    parts: Sequence[Ints]
    held: Dataset
    folds: Sequence[Ints]


class RealMLPLearner:
    """Fits RealMLPs and averages them; see `Learner`.

    Without validation rows, each network of a small table is fitted to all rows but one fold, that of a large one to
    all but a part; the other rows choose the epoch, and the answers for them are `held_out`.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        way: HoldOut | None = None,
        time_limit: Callable[[float], TimeLimit] = TimeLimit,
    ) -> None:
        """Create the learner.

        Args:
            settings: seed, `budget_s` and `validation_fraction`.
            way: how rows are held out to choose the epoch by, by default drawn.
            time_limit: returns when a training of so many seconds must end; another one if this is a part of it.
        """
        self._settings, self._way, self._time_limit = settings, way or Shuffled(), time_limit

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit networks; see `Learner.fit`."""
        if validation is not None:
            fitted = self._fit(train, _share_rows(train, validation), report, probe)
            return replace(fitted, held_out=None)
        unseen = hold_out(train, self._way, self._settings.seed)
        if isinstance(unseen, HeldOutPart):
            return self._fit(unseen.train, _share_rows(unseen.train, unseen.validation), report, probe)
        return self.fit_folds(unseen.train, unseen.folds, report, probe)

    def fit_folds(self, train: Dataset, folds: Sequence[Ints], report: Report, probe: Probe | None = None) -> Fitted:
        """Fit one network for each fold, without the rows of that fold, all at once, and average them.

        Args:
            train: the rows.
            folds: held-out positions of each fold.
            report: receives the events.
            probe: as in `fit`.
        """
        rows = np.arange(len(train))
        seen = _Seen([np.setdiff1d(rows, fold) for fold in folds], train, folds)
        return self._fit(train, seen, report, probe)

    def _fit(self, train: Dataset, seen: _Seen, report: Report, probe: Probe | None) -> Fitted:
        """Fit a network to each part of the rows, and choose the epoch by those that it has not seen."""
        target = None if train.classes else fit_scaler(train.y[:, None])
        inputs, budget_s = fit_inputs(train), self._settings.budget_s or default_budget_s(len(train))
        rows = prepare(inputs, train, target)
        limits = None if target is None else (float(rows.y.min()), float(rows.y.max()))

        def publish() -> nn.Module:
            """Return a copy of the networks as the module that is published."""
            published = copy.deepcopy(networks).requires_grad_(requires_grad=False)
            published.output.sharpen(held_out.sharpness)
            if target is None or limits is None:
                return RealMLPClassifier(inputs, published).eval()
            return RealMLPRegressor(inputs, published, target, limits).eval()

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self._settings.seed)
            own, models = self._settings.realmlp or RealMLPSettings(), len(seen.parts)
            hidden = own.hidden or hidden_for(len(train), models)
            networks = Networks(inputs, models, len(train.classes), hidden, own.frequency)
            plan = plan_for(networks, min(map(len, seen.parts)), budget_s)
            held_out = HeldOutRows(networks, prepare(inputs, seen.held, target), seen.folds, limits)
            training = _Training(networks, rows, seen.parts, plan, classes=len(train.classes), settings=own)
            history = training.run(held_out, self._time_limit(budget_s), report, probe, publish)
        answered = np.unique(np.concatenate(list(seen.folds)))
        answers = held_out.best[answered]
        answers = answers if target is None else answers * float(target.scale) + float(target.mean)
        return Fitted(publish(), history, HeldOut.at(answers, seen.held, answered), stopped=training.stopped)


def _share_rows(train: Dataset, validation: Dataset) -> _Seen:
    """Let each network learn from all training rows; at most `MOST_HELD` validation rows choose the epoch."""
    models, some = networks_for(len(train)), np.arange(0, len(validation), -(-len(validation) // MOST_HELD))
    return _Seen([np.arange(len(train))] * models, validation, [some] * models)


class _Training:
    """The epochs of a training.

    Args:
        networks: what is trained.
        rows: the rows.
        parts: positions of those that each network learns from.
        plan: number and size of steps.
        classes: K; 0 for a regression.
        settings: how steps are taken.

    Attributes:
        stopped: whether it was ended early, by a request or the clock.
    """

    def __init__(
        self,
        networks: Networks,
        rows: Rows,
        parts: Sequence[Ints],
        plan: Plan,
        *,
        classes: int,
        settings: RealMLPSettings,
    ) -> None:
        self._networks, self._rows, self._plan = networks, rows, plan
        self._parts = [torch.from_numpy(part) for part in parts]
        self._guessing, self.stopped = loss_of_guessing(classes), False
        first = rows.take(self._draw(min(FIRST_ROWS, *map(len, parts))))
        initialise(networks, first.dense, first.codes)
        self._steps = Steps(networks, classes, plan.epochs * plan.steps, settings)

    def run(
        self, held_out: HeldOutRows, time_limit: TimeLimit, report: Report, probe: Probe | None, publish: Publish
    ) -> tuple[EpochMetrics, ...]:
        """Train, restore the weights of the best epoch, and return the metrics of the epochs."""
        history: list[EpochMetrics] = []
        plan, best_epoch, best, sharpness = self._plan, 0, self._copy(), 1.0
        progress = EpochProgress(plan.epochs, plan.epoch_rows * len(self._parts), report)
        for epoch in range(1, plan.epochs + 1):
            progress.start(epoch)
            train_loss = self._epoch(progress)
            progress.stop()
            validation_loss = held_out.measure()
            if validation_loss <= held_out.best_loss:  # of equal epochs the later
                best_epoch, best, sharpness = epoch, self._copy(), held_out.sharpness
            metrics = progress.metrics(
                train_loss=train_loss,
                validation_loss=validation_loss,
                learning_rate=self._steps.rate,
                gradient_norm=self._steps.gradient_norm(),
                **({probe.figure: probe.measure(predictor(publish()))} if probe and epoch % probe.epochs == 0 else {}),
            )
            require_converging(metrics, self._guessing, None)
            history.append(metrics)
            report(metrics)
            if epoch >= BEYOND_BEST * best_epoch + MORE_EPOCHS:
                break
            if epoch < plan.epochs and (why := time_limit.why_over()):
                self.stopped = True
                report(Notice(level="warning", message=STOPPED.format(epoch=epoch, epochs=plan.epochs, why=why)))
                break
        self._networks.load_state_dict(best)
        held_out.sharpness = sharpness
        return tuple(history)

    def _epoch(self, progress: EpochProgress) -> float:
        """Take the steps of an epoch, and return the mean loss."""
        total = torch.zeros((), dtype=torch.float64)
        for index in torch.split(self._draw(self._plan.epoch_rows), self._plan.batch, dim=1):
            batch = self._rows.take(index)
            total += self._steps.step(batch.dense, batch.codes, batch.y).mean()
            progress.advance(index.numel())
        return float(total) / self._plan.steps

    def _draw(self, rows: int) -> Tensor:
        """Return positions of so many different rows of each network's part, (M, rows)."""
        return torch.stack([part[torch.randperm(len(part))[:rows]] for part in self._parts])

    def _copy(self) -> dict[str, Tensor]:
        return {name: weights.clone() for name, weights in self._networks.state_dict().items()}
