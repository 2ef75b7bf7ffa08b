"""Calibrate a learner's probabilities: undo class weights, divide the logits.

It must not know any learner. N is rows and K classes everywhere.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from modelstore import Notice
from training.config.learner_settings import TrainingSettings
from training.data.dataset import Dataset
from training.data.holdout import HoldOut
from training.learners.budget import ShouldEnd, never
from training.learners.choice import learner_for
from training.learners.protocol import Fitted, HeldOut, Probe, Report, predictor
from training.learners.temperature import Calibrated, Temperature, fit_temperature, to_logits, to_probabilities

UNDONE = (
    "class weights are undone in the probabilities, which are true frequencies; to answer rare classes more often, set "
    "a decision, such as maximise = balanced_accuracy"
)


def fit_calibrated(
    settings: TrainingSettings,
    train: Dataset,
    validation: Dataset | None,
    report: Report,
    probe: Probe | None = None,
    *,
    way: HoldOut | None = None,
    should_end: ShouldEnd = never,
) -> Fitted:
    """Fit the learner that the settings name, and calibrate a classifier; see `Learner.fit`.

    The result's `held_out` are the calibrated answers to rows that the model has not seen; None if there are none, in
    which case there is no temperature either.
    """
    fitted = learner_for(settings, way, should_end).fit(train, validation, report, probe)
    held_out = fitted.held_out
    if held_out is None and validation is not None:
        held_out = HeldOut.at(predictor(fitted.module)(validation.x), validation)
    if not train.classes:
        return replace(fitted, held_out=held_out)
    shift = _undo_weights(train) if settings.class_weights == "balanced" else np.zeros(len(train.classes))
    logits = None if held_out is None else to_logits(held_out.answers) + shift
    found = None
    if held_out is not None and logits is not None:
        found = fit_temperature(logits, held_out.y, settings.seed, held_out.groups)
    if shift.any():
        report(Notice(message=UNDONE))
    if found:
        report(Notice(message=_describe(found)))
    divisor = found.divisor if found and found.helps else 1.0
    module = Calibrated(fitted.module, shift, divisor).eval() if divisor != 1 or shift.any() else fitted.module
    if held_out is not None and logits is not None:
        held_out = held_out._replace(answers=to_probabilities(logits / divisor))
    return replace(fitted, module=module, held_out=held_out, temperature=divisor if divisor != 1 else None)


def _undo_weights(train: Dataset) -> npt.NDArray[np.float64]:
    """Return the logarithm of each class's share of the rows beside an equal share, (K,).

    Rows weighed by the inverse of it make all classes look equally frequent.

    Source: Saerens, Latinne & Decaestecker, Neural Computation 14(1), 2002, equation 2.4.
    """
    counts = np.bincount(train.y, minlength=len(train.classes)).clip(min=1)
    shift: npt.NDArray[np.float64] = np.log(counts * len(train.classes) / len(train))
    return shift


def _describe(found: Temperature) -> str:
    change = f"which changes the log loss of held-out rows by {-found.gain:+.4f} ± {found.standard_error:.4f}"
    if found.helps:
        return f"calibration: logits are divided by {found.divisor:.3g}, {change}"
    return f"calibration: logits are not divided by {found.divisor:.3g}, {change}: no better than chance"
