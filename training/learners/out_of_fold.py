"""Answers for training rows from models that were fitted without them.

It must not know what they are for. It is for learners that have none of their own.
"""

from __future__ import annotations

import numpy as np

from modelstore import EpochMetrics
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import HoldOut
from training.learners.auto.progress import MemberReport
from training.learners.budget import ShouldEnd, never
from training.learners.calibrated import fit_calibrated
from training.learners.folds import FOLDS, folds_in
from training.learners.protocol import Event, HeldOut, Report, predictor

IMAGE_FOLDS = 2  # a network for images takes seconds to train; half of the rows make it worse, so sets too large


def answer_folds(
    settings: TrainingSettings, train: Dataset, way: HoldOut, report: Report, should_end: ShouldEnd = never
) -> HeldOut | None:
    """Train a model of these settings without each fold, and return its calibrated answers for the fold.

    Args:
        settings: those of the model that is published; there are no validation rows.
        train: its training rows, N.
        way: how rows are held out; groups stay together, and in time the latest rows are the one fold.
        report: receives the progress of what takes long.
        should_end: whether to end soon.

    Returns:
        An answer for each row of a fold, of which there are N unless they are held out in time, in their order; None
        if it was to end, or there is one group only.

    Raises:
        Diverged: if a loss is not finite.
    """
    if len(np.unique(train.together)) < 2:
        return None
    folds = folds_in(way, train, settings.seed, IMAGE_FOLDS if settings.image else FOLDS)
    answers = np.zeros((len(train), max(1, len(train.classes))), dtype=np.float32)
    for number, held_out in enumerate(folds, start=1):
        if should_end():
            return None
        progress = MemberReport(report, f"prediction sets: model without fold {number} of {len(folds)}")

        def report_epochs(event: Event, progress: MemberReport = progress) -> None:
            """Pass on how far the training is; its notices were those of the published model."""
            if isinstance(event, EpochMetrics):
                progress(event)

        rest = np.setdiff1d(np.arange(len(train)), held_out)
        fitted = fit_calibrated(settings, train.rows(rest), None, report_epochs, way=way, should_end=should_end)
        answers[held_out] = predictor(fitted.module)(train.x[held_out])
    answered = np.sort(np.concatenate(folds))
    return HeldOut.at(answers[answered], train, answered)
