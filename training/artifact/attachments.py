"""Make the attachments of a version: history of epochs, test predictions and plots."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping

from modelstore import Importance, Notice, to_line
from modelstore.predictions import PREDICTIONS_FILE
from training.artifact import seen_rows
from training.config.recipe import Recipe
from training.data.splits import Splits
from training.evaluation import importance_plots, plots
from training.evaluation.candidate import Candidate
from training.evaluation.dependence import Dependence, measure_dependence, to_json
from training.evaluation.task import evaluation_of
from training.learners.protocol import Report
from training.outcome import sentence

logger = logging.getLogger(__name__)


def make_attachments(
    candidate: Candidate, recipe: Recipe, splits: Splits, report: Report, *, pictures: bool = True
) -> Mapping[str, bytes]:
    """Return the attachments of a version by file name, without its plots if these are not wanted.

    None of them is needed to serve the version, so a file that cannot be made is only a warning.
    """
    task, predict, target = evaluation_of(splits.test), candidate.predict, splits.target
    makers: dict[str, Callable[[], bytes | None]] = {
        PREDICTIONS_FILE: lambda: task.predictions(predict, splits.test, candidate.decision),
        "history.jsonl": lambda: "".join(f"{to_line(metrics)}\n" for metrics in candidate.history).encode(),
        seen_rows.FILE: lambda: seen_rows.write_rows(splits.train),
        **task.plots(predict, candidate.metrics["test"], splits.test, target, recipe, decision=candidate.decision),
    }
    if candidate.history:  # a learner without epochs has no losses
        title = f"{recipe.network}: loss while training"
        makers["loss.png"] = lambda: plots.loss_curves(candidate.history, title, task.loss_unit)
    if candidate.importance:
        makers |= _of_columns(candidate, candidate.importance, recipe, splits)
    files: dict[str, bytes] = {}
    for name, make in makers.items():
        if name.endswith(".png") and not pictures:
            continue
        try:
            content = make()
        except Exception as error:
            logger.warning("%s could not be made", name, exc_info=True)
            report(Notice(level="warning", message=f"{name} could not be made and is left out: {sentence(error)}"))
        else:
            files |= {} if content is None else {name: content}
    return files


def _of_columns(
    candidate: Candidate, found: Importance, recipe: Recipe, splits: Splits
) -> dict[str, Callable[[], bytes | None]]:
    """Return functions that make the files about columns, by file name; None if there is nothing to show."""
    test = splits.test
    outputs = test.classes or (splits.target.name,)

    @functools.cache
    def depend() -> list[Dependence]:
        """Measure the dependence once, for its data and its picture."""
        return measure_dependence(candidate.predict, splits.train, test, list(found.columns))

    def draw() -> bytes | None:
        """Draw the dependence, if there is any."""
        if len(test) < 2 or not depend():
            return None
        title = f"{recipe.network}: mean answer and {len(depend()[0].lines)} test rows"
        return importance_plots.dependence(depend(), outputs, title)

    return {
        "importance.png": lambda: importance_plots.importance(found, f"{recipe.network}: {found.rows} test rows"),
        "partial_dependence.json": lambda: to_json(depend(), outputs),
        "partial_dependence.png": draw,
    }
