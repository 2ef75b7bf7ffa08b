"""Train on every real table in ../shared/tables, raw, and write the table of docs/quality.md.

The figures beside ours are of plain scikit-learn on the same rows of the same split: logistic or ridge regression on
one-hot columns, and histogram gradient boosting with its defaults.
"""

from __future__ import annotations

import collections
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelstore import Evaluation, ModelRepository, RegressionEvaluation
from tests.processes import service
from tests.realtables import TARGETS, Walk, walk
from training.config.recipe import parse_recipe
from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.data.splits import load_splits

HEAD = """
| file | task | rows | columns by type | left out | s | figure | ours | linear | boosting |
|---|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Write one line for each file to stdout, as soon as it is known."""
    warnings.filterwarnings("ignore", module="sklearn")
    sys.stdout.write(HEAD.lstrip())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service(folder, environment={"TABSERVE_RECIPES_DIR": str(folder / "none")}, ready=False) as (client, _):
            for file in sys.argv[1:] or TARGETS:
                try:
                    line = _line(folder, file, walk(client, file))
                except AssertionError as error:  # the file is refused: the line says why
                    line = f"| {file} | {str(error).splitlines()[0]} |"
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


def _line(folder: Path, file: str, done: Walk) -> str:
    """Return the row of a file in the table."""
    found = ModelRepository(folder / "models").find(done.job["model"], done.job["version"]).manifest()
    source = parse_recipe(found.lineage.recipe, file).data
    (path,) = (folder / "datasets" / done.job["dataset"]).glob(f"*/{source.file}")
    splits = load_splits(source, path.parent)
    kinds = collections.Counter(feature.type for feature in found.features)
    left = ", ".join(f"{each.name} ({each.reason})".replace("|", "/") for each in found.left_out[:4])
    more = f" and {len(found.left_out) - 4} more" if len(found.left_out) > 4 else ""
    measured = found.metrics["test"]
    figure = "log loss, accuracy" if isinstance(measured, Evaluation) else "RMSE"
    others = [_measure(model, splits.train, splits.test) for model in _others(splits.train)]
    cells = [
        f"`{file}`",
        found.task,
        f"{done.dataset['rows']:,}",
        ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
        left + more or "-",
        f"{done.seconds:.0f}",
        figure,
        _ours(measured),
        *others,
    ]
    return f"| {' | '.join(cells)} |"


def _ours(measured: Evaluation | RegressionEvaluation) -> str:
    if isinstance(measured, Evaluation):
        return f"{measured.log_loss:.3f}, {measured.accuracy:.3f}"
    return f"{measured.rmse:.4g}"


def _others(train: Dataset) -> tuple[Pipeline, Pipeline]:
    """Return the linear model on one-hot columns, and boosting, both for these columns."""
    cells = cells_of(train.columns)
    texts = [at.start for column, at in zip(train.columns, cells, strict=True) if column.type == "categorical"]
    numbers = [cell for cell in range(train.x.shape[1]) if cell not in texts]
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), texts),
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), numbers),
    )
    few = [cell for cell in texts if np.nanmax(train.x[:, cell], initial=0) < 255]
    if train.task == "regression":
        boosting = HistGradientBoostingRegressor(categorical_features=few, random_state=0)
        return make_pipeline(encoded, RidgeCV(np.logspace(-3, 3, 7))), make_pipeline(boosting)
    boosting = HistGradientBoostingClassifier(categorical_features=few, random_state=0)
    return make_pipeline(encoded, LogisticRegression(max_iter=2000)), make_pipeline(boosting)


def _measure(model: Pipeline, train: Dataset, test: Dataset) -> str:
    x: npt.NDArray[np.float64] = train.x.astype(np.float64)
    model.fit(x, train.y)
    if train.task == "regression":
        return f"{root_mean_squared_error(test.y, model.predict(test.x.astype(np.float64))):.4g}"
    answers = model.predict_proba(test.x.astype(np.float64))
    loss = log_loss(test.y, answers, labels=model.classes_)
    return f"{loss:.3f}, {accuracy_score(test.y, model.classes_[answers.argmax(axis=1)]):.3f}"


if __name__ == "__main__":
    main()
