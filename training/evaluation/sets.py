"""Find rows that a trained model has not seen, and score them for prediction sets.

It must not know the model store. `conformal.py` has the formulas.
"""

from __future__ import annotations

import numpy as np

from modelstore import Conformal, Notice
from modelstore.overrides import LearnerName
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.holdout import Hashed, Shuffled
from training.data.splits import Splits
from training.errors import RecipeError, TrainingError
from training.evaluation.conformal import Source, measure_coverage, score_classes, score_values
from training.evaluation.task import require_finite
from training.learners.budget import ShouldEnd, never
from training.learners.out_of_fold import answer_folds
from training.learners.protocol import Fitted, HeldOut, Predict, Report, predictor
from training.outcome import sentence

QUICK: tuple[LearnerName, ...] = ("mlp", "cnn")  # those without held-out answers of their own are trained for folds


def make_conformal(
    fitted: Fitted, recipe: Recipe, splits: Splits, report: Report, should_end: ShouldEnd = never
) -> Conformal | None:
    """Return the scores of rows that the model has not seen, measured on the test rows.

    They are those of the calibration rows or, without these, the held-out answers of the learner or, without these,
    those of models trained for this without each fold of the rows. These are trained after `should_end`, too, if the
    recipe abstains by prediction sets: without them there would be no version.

    Returns:
        None if there are none, which is reported.

    Raises:
        DatasetError: if a calibration row overflows the model.
        RecipeError: if there are none, and the recipe abstains by prediction sets.
    """
    predict, train, calibration = predictor(fitted.module), splits.train, splits.calibration
    held_out = _answer(predict, calibration) if calibration else None if train.is_one_group else fitted.held_out
    if held_out is None and recipe.training.learner in QUICK:
        is_needed = recipe.abstain is not None and recipe.abstain.confidence is not None
        held_out = _answer_folds(recipe, splits, report, never if is_needed else should_end)
    if held_out is None or not len(held_out.y):
        report(Notice(level="warning", message="no rows are left to score, so there are no prediction sets"))
        if recipe.abstain and recipe.abstain.confidence:
            expected = "rows that the model has not seen: more rows, or a validation_fraction above 0"
            raise RecipeError(recipe.model, "abstain.confidence", expected, recipe.abstain.confidence)
        return None
    source: Source = "split" if calibration else "out_of_fold" if len(held_out.y) == len(train) else "validation"
    exact = calibration is not None and isinstance(splits.way, (Hashed, Shuffled))
    if train.classes:
        conformal = score_classes(held_out, train.classes, source, exact=exact)
    else:
        conformal = score_values(held_out, fitted.held_out if calibration else held_out, source, exact=exact)
    return measure_coverage(conformal, HeldOut(predict(splits.test.x), splits.test.y), train.classes)


def _answer(predict: Predict, rows: Dataset) -> HeldOut:
    answers = predict(rows.x)
    require_finite(answers, rows.lines, "calibration")
    return HeldOut(answers, rows.y)


def _answer_folds(recipe: Recipe, splits: Splits, report: Report, should_end: ShouldEnd) -> HeldOut | None:
    """Return finite answers of models without each fold; None if there are none."""
    try:
        found = answer_folds(recipe.training, splits.train, splits.way, report, should_end)
    except TrainingError as error:
        report(
            Notice(level="warning", message=f"a model without a fold of the rows cannot be trained: {sentence(error)}")
        )
        return None
    return found if found is not None and np.isfinite(found.answers).all() else None
