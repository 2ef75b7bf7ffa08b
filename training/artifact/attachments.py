"""Make the attachments of a version: history of epochs, test predictions and plots."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

from modelstore import Notice, Prediction, to_line, write_predictions
from modelstore.predictions import MAX_ROWS, PREDICTIONS_FILE
from training.artifact import seen_rows
from training.config.recipe import Recipe
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.evaluation import plots
from training.evaluation.candidate import Candidate
from training.learners.protocol import Predict, Report
from training.outcome import sentence

logger = logging.getLogger(__name__)


def make_attachments(candidate: Candidate, recipe: Recipe, splits: Splits, report: Report) -> Mapping[str, bytes]:
    """Return the attachments of a version by file name.

    None of them is needed to serve the version, so a file that cannot be made is only a warning.
    """
    predict, test = candidate.predict, candidate.metrics["test"]
    makers: dict[str, Callable[[], bytes]] = {
        PREDICTIONS_FILE: lambda: write_predictions(_predictions(predict, splits.test)),
        "history.jsonl": lambda: "".join(f"{to_line(metrics)}\n" for metrics in candidate.history).encode(),
        seen_rows.FILE: lambda: seen_rows.write_rows(splits.train),
        "loss.png": lambda: plots.loss_curves(candidate.history, f"{recipe.network}: loss while training"),
        "confusion.png": lambda: plots.confusion_matrix(test, f"{recipe.network}: {test.rows} test rows"),
    }
    if [column.type for column in splits.train.columns] == ["numeric", "numeric"]:
        units = [recipe.data.units.get(name, "") for name in splits.train.features]
        title = f"{recipe.network}: decision boundary and {test.rows} test rows"
        makers["boundary.png"] = lambda: plots.decision_boundary(predict, splits.test, units, title)
    files = {}
    for name, make in makers.items():
        try:
            files[name] = make()
        except Exception as error:
            logger.warning("%s could not be made", name, exc_info=True)
            report(Notice(level="warning", message=f"{name} could not be made and is left out: {sentence(error)}"))
    return files


def _predictions(predict: Predict, test: Dataset) -> Iterator[tuple[int, Prediction]]:
    """Yield the line and the prediction of each test row, at most the first `MAX_ROWS`."""
    first = slice(MAX_ROWS)
    probabilities = predict(test.x[first])  # (N, K)
    rows = zip(test.lines[first], test.y[first], probabilities.argmax(axis=1), probabilities.max(axis=1), strict=True)
    for line, truth, predicted, probability in rows:
        yield int(line), Prediction(test.classes[truth], test.classes[predicted], float(probability))
