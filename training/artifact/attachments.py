"""Make the attachments of a version: history of epochs, test predictions and plots."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from modelstore import Notice, to_line
from modelstore.predictions import PREDICTIONS_FILE
from training.artifact import seen_rows
from training.config.recipe import Recipe
from training.data.splits import Splits
from training.evaluation import plots
from training.evaluation.candidate import Candidate
from training.evaluation.task import evaluation_of
from training.learners.protocol import Report
from training.outcome import sentence

logger = logging.getLogger(__name__)


def make_attachments(candidate: Candidate, recipe: Recipe, splits: Splits, report: Report) -> Mapping[str, bytes]:
    """Return the attachments of a version by file name.

    None of them is needed to serve the version, so a file that cannot be made is only a warning.
    """
    task, predict, target = evaluation_of(splits.test), candidate.predict, splits.target
    makers: dict[str, Callable[[], bytes]] = {
        PREDICTIONS_FILE: lambda: task.predictions(predict, splits.test, candidate.decision),
        "history.jsonl": lambda: "".join(f"{to_line(metrics)}\n" for metrics in candidate.history).encode(),
        seen_rows.FILE: lambda: seen_rows.write_rows(splits.train),
        **task.plots(predict, candidate.metrics["test"], splits.test, target, recipe, decision=candidate.decision),
    }
    if candidate.history:  # a learner without epochs has no losses
        title = f"{recipe.network}: loss while training"
        makers["loss.png"] = lambda: plots.loss_curves(candidate.history, title, task.loss_unit)
    files = {}
    for name, make in makers.items():
        try:
            files[name] = make()
        except Exception as error:
            logger.warning("%s could not be made", name, exc_info=True)
            report(Notice(level="warning", message=f"{name} could not be made and is left out: {sentence(error)}"))
    return files
