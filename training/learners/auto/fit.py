"""Train several learners, calibrate them, and blend them by held-out rows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from modelstore import Notice
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import HoldOut, Shuffled
from training.evaluation.metrics import Floats
from training.evaluation.task import evaluation_of
from training.learners.auto.blend import Blend
from training.learners.auto.members import ProposedMember, propose_members
from training.learners.auto.progress import MemberReport
from training.learners.auto.unseen import HeldOutPart, Unseen, hold_out
from training.learners.auto.weights import choose_weights, mix
from training.learners.budget import ShouldEnd, TimeLimit, default_budget_s, never
from training.learners.protocol import FAILURES, Fitted, HeldOut, Member, Probe, Report
from training.learners.temperature import Calibrated, fit_temperature, to_logits, to_probabilities
from training.outcome import sentence

logger = logging.getLogger(__name__)

MOST_ROWS = 500_000


@dataclass(frozen=True)
class _Trained:
    """A calibrated member with its answers for unseen rows, (n, K) or (n, 1)."""

    name: str
    module: nn.Module
    answers: Floats
    train_s: float


class AutoLearner:
    """Fits the best blend of several learners, or the best single one; see `Learner`."""

    def __init__(
        self,
        settings: TrainingSettings,
        way: HoldOut | None = None,
        propose: Callable[[Dataset, TrainingSettings, TimeLimit], Sequence[ProposedMember]] = propose_members,
        should_end: ShouldEnd = never,
    ) -> None:
        """Create the learner.

        Args:
            settings: seed and `budget_s`.
            way: how rows are held out to choose by; by default drawn.
            propose: returns the learners to try.
            should_end: whether to end with the members that are done by then.
        """
        self._settings, self._way, self._propose = settings, way or Shuffled(), propose
        self._should_end = should_end

    def fit(self, train: Dataset, validation: Dataset | None, report: Report, probe: Probe | None = None) -> Fitted:
        """Fit the members, choose weights and return one module; see `Learner.fit`.

        A member that cannot be fitted is left out with a warning.

        Raises:
            Exception: that of the last member, if none can be fitted.
        """
        settings, train = self._settings, _thin(train, report)
        unseen = HeldOutPart(train, validation) if validation else hold_out(train, self._way, settings.seed)
        time_limit = TimeLimit(settings.budget_s or default_budget_s(len(train)), self._should_end)
        members = _train(self._propose(train, settings, time_limit), unseen, settings.seed, time_limit, report)
        task, answers = evaluation_of(train), [member.answers for member in members]
        weights = choose_weights(answers, lambda found: task.row_losses(found, unseen.y), unseen.groups)
        report(Notice(message=f"auto: {_describe(members, weights)}"))
        chosen = [(member.module, weight) for member, weight in zip(members, weights, strict=True) if weight]
        module = chosen[0][0] if len(chosen) == 1 else Blend(*zip(*chosen, strict=True))
        return Fitted(
            module.eval(),
            held_out=HeldOut(mix(answers, weights), unseen.y, unseen.groups),
            members=tuple(
                Member(member.name, member.module, weight, member.train_s)
                for member, weight in zip(members, weights, strict=True)
            ),
            stopped=bool(time_limit.why_over()),
        )


def _thin(train: Dataset, report: Report) -> Dataset:
    """Return at most `MOST_ROWS` rows, evenly spread, and one of each class, so that memory and time stay bounded."""
    if len(train) <= MOST_ROWS:
        return train
    report(Notice(level="warning", message=f"auto: learns from {MOST_ROWS:,} of {len(train):,} rows, evenly spread"))
    return train.thin(MOST_ROWS, of_class=1)


def _train(
    proposals: Sequence[ProposedMember], unseen: Unseen, seed: int, time_limit: TimeLimit, report: Report
) -> list[_Trained]:
    """Fit and calibrate the proposed members in turn.

    Raises:
        Exception: that of the last proposal, if none can be fitted.
    """
    trained: list[_Trained] = []
    failure: Exception | None = None
    for number, proposal in enumerate(proposals, start=1):
        place = f"auto: {proposal.name}, member {number} of {len(proposals)}"
        if trained and (why := time_limit.why_over()):
            report(Notice(level="warning", message=f"{place} is left out, {why}; another run may give another model"))
            continue
        report(Notice(message=place))
        try:
            trained.append(_train_one(proposal, unseen, seed, MemberReport(report, place)))
        except FAILURES as error:
            failure = error
            logger.info("%s failed", place, exc_info=True)
            report(Notice(level="warning", message=f"{place} is left out: {sentence(error)}"))
    if not trained:
        raise failure or ValueError("no learner to try")
    return trained


def _train_one(proposal: ProposedMember, unseen: Unseen, seed: int, report: Report) -> _Trained:
    started_s = time.monotonic()
    module, answers = unseen.fit(proposal.learner, report)
    classes = answers.shape[1]
    logits = to_logits(answers) if classes > 1 else None
    found = None if logits is None else fit_temperature(logits, unseen.y, seed, unseen.groups)
    if logits is not None and found and found.helps:
        module, answers = Calibrated(module, np.zeros(classes), found.divisor), to_probabilities(logits / found.divisor)
    return _Trained(proposal.name, module.eval(), answers, time.monotonic() - started_s)


def _describe(members: Sequence[_Trained], weights: Sequence[float]) -> str:
    """Return the chosen members as one phrase."""
    chosen = [(weight, member.name) for member, weight in zip(members, weights, strict=True) if weight]
    if len(chosen) == 1:
        return f"{chosen[0][1]} alone, no blend is better by more than one standard error"
    return ", ".join(f"{weight:.0%} {name}" for weight, name in sorted(chosen, key=lambda pair: -pair[0]))
