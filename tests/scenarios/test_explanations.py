"""Explanations of trained models against shap: exactness, errors, background, time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from app.inference.additions.explanation import Explainer, Explanation
from app.inference.additions.shapley import Exact, Permutations, Plan, Values, plan_for
from app.inference.batch_predictions import batch_of
from app.inference.options import Explain
from app.inference.predictions import Predictions
from app.runtime.devices import use_one_thread
from app.runtime.load import LoadedModel, load
from app.schema import Float32
from modelstore import ModelRepository
from tests.training.samples import clouds, describe, ignore, learnt, typed
from training.config.recipe import load_recipe
from training.config.run import TrainingRun
from training.data.columns import Column
from training.data.dataset import Dataset
from training.data.splits import load_splits
from training.pipeline import train as train_and_publish

PROJECT = Path(__file__).parents[2]


def fitted(train: Dataset, test: Dataset, folder: Path) -> LoadedModel:
    """Train a network with the settings of cancer's recipe on rows, publish it with background rows, and load it."""
    use_one_thread()
    module = learnt(train, hidden=(15, 15), epochs=60, lr=0.01, dropout=0.2, weight_decay=0.005).module
    return load(ModelRepository(folder / "models").publish(*describe(module, train, test)), "cpu")


def splits_of(name: str) -> tuple[Dataset, Dataset]:
    """Return the training and test rows of a built-in table, or those of a table with every type of column."""
    if name == "typed":
        return typed(400), typed(60, seed=1)
    built_in = load_recipe(name, PROJECT / "training" / "recipes")
    splits = load_splits(built_in.data, PROJECT / "data", built_in.training)
    return splits.train, splits.test


def explain(model: LoadedModel, x: Float32, class_name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the base of each row, (n, 1), and its contributions, (n, F)."""
    explanation = Explanation(Explainer(1 << 40), model, model.schema, Explain(class_name))
    predictions = Predictions(batch_of(model.schema, x, model.infer(x)), 0, len(x))
    base, contributions, *_ = asyncio.run(explanation.answer(predictions, range(len(x)))).values
    return base, contributions


def cells(model: LoadedModel) -> list[slice]:
    """Return the cells of each column of the user's table."""
    widths = [feature.width for feature in model.schema.types]
    return [slice(start, start + width) for start, width in zip(model.schema.starts, widths, strict=True)]


def by_shap(model: LoadedModel, row: Float32, rows: Float32, output: int) -> tuple[float, np.ndarray]:
    """Return base and values of shap's exact explainer; a column of shap's is the number of the row to take it from."""
    shap = pytest.importorskip("shap")
    sources = np.vstack((row, rows))

    def answer(numbers: np.ndarray) -> np.ndarray:
        """Return the answers for rows whose columns come from these sources."""
        mixed = np.empty((len(numbers), rows.shape[1]), np.float32)
        for column, place in enumerate(cells(model)):
            mixed[:, place] = sources[numbers[:, column].astype(int), place]
        return model.infer(mixed)[:, output].astype(float)

    columns = len(model.schema.features)
    masks = np.repeat(np.arange(1, len(sources))[:, None], columns, axis=1).astype(float)
    explainer = shap.ExactExplainer(answer, shap.maskers.Independent(masks, max_samples=len(masks)))
    found = explainer(np.zeros((1, columns)), max_evals=1 << columns, silent=True)
    return float(found.base_values[0]), found.values[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "cancer", "typed"])
def test_a_values_are_those_of_shap_and_add_up_to_the_probability(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # else shap compiles for seven seconds what takes a hundredth of one
    train, test = splits_of(name)
    model = fitted(train, test, tmp_path)
    assert model.background is not None
    rows, weights = model.background
    counts = np.round(weights * len(train)).astype(int)
    few, repeated = test.x[:20], np.repeat(rows, counts, axis=0)

    for output, class_name in enumerate(model.schema.classes):
        base, contributions = explain(model, few, class_name)
        assert np.abs((base[:, 0] + contributions.sum(axis=1)) - model.infer(few)[:, output]).max() <= 1e-6
        for row in (0, 7, 14):
            shap_base, shap_values = by_shap(model, few[row], repeated, output)
            assert abs(base[row, 0] - shap_base) <= 1e-6
            assert np.abs(contributions[row] - shap_values).max() <= 1e-6


def values_of(model: LoadedModel, plan: Plan, row: Float32, output: int, rows: Float32, weights: np.ndarray) -> Values:
    """Return the values of a row by a plan, against any background rows, computed in a few steps."""
    found = []
    for first in range(0, plan.coalitions, 128):
        members = plan.members(first, min(first + 128, plan.coalitions))
        mixed = np.where(members[:, None, :], row, rows).reshape(-1, len(row))
        found.append(model.infer(mixed)[:, output].reshape(-1, len(rows)).astype(float) @ weights)
    return plan.values(np.concatenate(found))


@pytest.mark.slow
def test_b_values_of_30_features_lie_within_4_errors_of_many_permutations(tmp_path: Path) -> None:
    table = load_breast_cancer()
    x = table.data.astype(np.float32)
    columns = tuple(Column(f"x{place}") for place in range(30))
    train = replace(clouds(len(x)), x=x, y=table.target.astype(np.int64), columns=columns)
    model = fitted(train, train, tmp_path)
    assert model.background is not None
    plan, many = plan_for(30, len(model.background[0])), Permutations(30, 1024)

    within, errors = [], []
    for row in x[:60:20]:
        ours, reference = (values_of(model, each, row, 1, *model.background) for each in (plan, many))
        assert ours.errors is not None
        within.append(np.abs(ours.contributions - reference.contributions) <= 4 * ours.errors + 1e-7)
        errors.append(ours.errors.max())

    assert np.mean(within) >= 0.99
    assert max(errors) <= 0.005


@pytest.mark.slow
@pytest.mark.alone
def test_c_a_row_of_9_features_takes_at_most_10_ms(tmp_path: Path) -> None:
    train, test = splits_of("cancer")
    model = fitted(train, test, tmp_path)

    took_ms = min(_cpu_ms(lambda: explain(model, test.x[:5], model.schema.classes[0])) for _ in range(5)) / 5

    assert took_ms <= 10


def _cpu_ms(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "cancer"])
def test_d_the_background_says_what_400_training_rows_say(name: str, tmp_path: Path) -> None:
    built_in = load_recipe(name, PROJECT / "training" / "recipes")
    repository = ModelRepository(tmp_path / "models")
    run = TrainingRun(recipe=built_in, data_dir=PROJECT / "data", repository=repository)
    assert train_and_publish(run, ignore).version == 1
    model = load(repository.find(name, 1), "cpu")
    train, test = splits_of(name)
    some = train.x[np.linspace(0, len(train) - 1, 400).astype(int)]
    few, exact = test.x[:15], Exact(len(model.schema.features))
    _, ours = explain(model, few, model.schema.classes[0])
    theirs = [values_of(model, exact, row, 0, some, np.full(400, 1 / 400)).contributions for row in few]

    error = np.abs(ours - np.array(theirs)).max(axis=1).mean()

    assert error <= 0.02
