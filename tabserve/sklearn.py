"""scikit-learn estimators that train in this process and predict as a service would.

    from tabserve.sklearn import TabserveClassifier
    cross_val_score(TabserveClassifier(budget_s=20), frame, target)

`fit` is a training with its leader board, held-out test rows and calibration, so it learns from a part of the
rows; the published version is kept in the estimator. They need the extras `serve` and `train`.
"""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    assert_all_finite,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from tabserve.late import load_name, load_optional
from tabserve.local import LocalModel

if TYPE_CHECKING:
    import pandas as pd

_NAME = "estimator"
_ENGINE = "cpu"  # whichever is quickest would round the last bits otherwise after the next load
_TARGET = "target"
_TABLE = "rows.csv"
_LEAST_ROWS = 10


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share."""

    _task: str
    _options: ClassVar[dict[str, str]]

    def __init__(self, *, learner: str = "auto", budget_s: float = 60.0, seed: int = 0) -> None:
        """Keep the parameters, as scikit-learn wants it.

        Args:
            learner: `auto`, `linear`, `trees`, `realmlp` or `mlp`.
            budget_s: seconds that a fit may take, about; for learners that have a budget.
            seed: seed of weights, shuffling and held-out rows.
        """
        self.learner = learner
        self.budget_s = budget_s
        self.seed = seed

    def _fit(self, x: Any, target: np.ndarray[Any, Any]) -> Self:
        """Train on rows and their targets.

        Raises:
            ValueError: with the training's reason, if it ends without a version.
        """
        frame = self._frame(x, reset=True)
        check_consistent_length(frame, target)
        if len(frame) < _LEAST_ROWS:
            raise ValueError(f"a training needs {_LEAST_ROWS} rows or more, got n_samples={len(frame)}")
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / _TABLE
            frame.assign(**{_TARGET: target}).to_csv(table, index=False)
            local = load_optional("training.pipeline", "tabserve[train]", "a fit in this process")
            result = _train(local, table, self._recipe(frame, table))
            if result.version is None:
                raise ValueError(f"no model: {result.detail}")
            self.metrics_ = {split: measured.model_dump() for split, measured in result.metrics.items()}
            version = Path(folder) / "models" / _NAME / str(result.version)
            self.files_ = {path.name: path.read_bytes() for path in version.iterdir()}
        if release := self.__dict__.pop("_release", None):  # of an earlier fit
            release()
        self.__dict__.pop("_loaded", None)
        self._model()
        return self

    def _recipe(self, frame: pd.DataFrame, table: Path) -> Any:
        """Return the recipe of a training that uses all columns."""
        options = load_name("modelstore", "DataOptions")(
            types=dict.fromkeys(frame.select_dtypes("number"), "numeric"), task=self._task, **self._options
        )
        settings = {"learner": self.learner, "seed": self.seed}
        if self.learner in ("auto", "realmlp", "trees"):
            settings["budget_s"] = self.budget_s
        overrides = load_name("modelstore", "Overrides")(**settings)
        make = load_name("training.config.default_recipe", "recipe_for_data")
        return make(table, _TARGET, model=_NAME, features=list(frame), options=options, overrides=overrides)

    def _frame(self, x: Any, *, reset: bool) -> pd.DataFrame:
        """Return rows as a DataFrame with names of columns that are texts."""
        pandas = load_optional("pandas", "tabserve[train]", "a fit in this process")
        if hasattr(x, "iloc"):
            validate_data(self, x, skip_check_array=True, reset=reset)
            frame: pd.DataFrame = x.reset_index(drop=True)
        else:
            values = check_array(x, dtype=None, ensure_all_finite="allow-nan")
            validate_data(self, values, skip_check_array=True, reset=reset)
            frame = pandas.DataFrame(values).infer_objects()
        return frame.set_axis([f"x{place} {name}" for place, name in enumerate(frame.columns)], axis=1)

    def _answers(self, x: Any) -> pd.DataFrame:
        """Return the answers to rows."""
        check_is_fitted(self)
        answers: pd.DataFrame = self._model().predict(self._frame(x, reset=False))
        return answers

    def _model(self) -> LocalModel:
        """Return the version, loaded after a fit, or at the first prediction of a copy."""
        if "_loaded" not in self.__dict__:
            with tempfile.TemporaryDirectory() as folder:
                version = Path(folder) / _NAME / "1"
                version.mkdir(parents=True)
                for name, content in self.files_.items():
                    (version / name).write_bytes(content)
                self._loaded = LocalModel(version, engine=_ENGINE)
            self._release = weakref.finalize(self, self._loaded.close)
        return self._loaded

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in ("_loaded", "_release")}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


class TabserveClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Classifier of rows of numbers, texts, truth values and dates, with gaps.

    Attributes:
        classes_: the classes, sorted.
        metrics_: evaluation on the test rows that the training held out.
        files_: files of the trained version, by name; without its plots, which take longer than many a fit.
    """

    _task = "classification"
    _options: ClassVar[dict[str, str]] = {"rare_classes": "refuse"}

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Train on rows, shape (N, F), and their classes, shape (N,)."""
        y = column_or_1d(y, warn=True)
        assert_all_finite(y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("a training needs two classes or more, got one class")
        return self._fit(X, np.array([f"class {code}" for code in codes]))

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the probability of each class, shape (N, K), in the order of `classes_`."""
        answers = self._answers(X)
        columns = [f"probability_class {code}" for code in range(len(self.classes_))]
        return np.asarray(answers[columns], dtype=np.float64)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the most probable class of each row, shape (N,)."""
        probabilities = self.predict_proba(X)
        best: np.ndarray[Any, Any] = self.classes_[probabilities.argmax(axis=1)]
        return best


class TabserveRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Regressor of rows of numbers, texts, truth values and dates, with gaps.

    Attributes:
        metrics_: evaluation on the test rows that the training held out.
        files_: files of the trained version, by name; without its plots, which take longer than many a fit.
    """

    _task = "regression"
    _options: ClassVar[dict[str, str]] = {}

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Train on rows, shape (N, F), and their quantities, shape (N,)."""
        y = column_or_1d(y, warn=True)
        assert_all_finite(y)
        return self._fit(X, y)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803
        """Return the quantity of each row, shape (N,), float64."""
        return np.asarray(self._answers(X)["value"], dtype=np.float64)


def _train(pipeline: Any, table: Path, recipe: Any) -> Any:
    """Return the result of a training; the numbers of threads of this process are put back."""
    torch = load_optional("torch", "tabserve[train]", "a fit in this process")
    limits = load_optional("threadpoolctl", "tabserve[train]", "a fit in this process").threadpool_limits
    run = load_name("training.config.run", "TrainingRun")
    repository = load_name("modelstore", "ModelRepository")(table.parent / "models")
    before = torch.get_num_threads()
    try:
        with limits(1, user_api="blas"):
            return pipeline.train(run(recipe, table.parent, repository, "always", pictures=False), lambda event: None)
    finally:
        torch.set_num_threads(before)
