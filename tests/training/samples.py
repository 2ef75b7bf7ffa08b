"""Small data sets, recipes and runs that every test of `training` can vary."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from torch import nn

from modelstore import (
    AnyEvaluation,
    Baseline,
    EpochMetrics,
    Evaluation,
    GateReport,
    JobResult,
    Leader,
    LeaderBoard,
    Manifest,
    ModelRepository,
    Notice,
    RegressionEvaluation,
    Target,
)
from training.artifact.manifest import build_manifest, golden_rows
from training.artifact.torchscript import to_torchscript
from training.config.learner_settings import TrainingSettings
from training.config.recipe import Recipe, parse_recipe
from training.config.run import TrainingRun
from training.data.columns import Column, cells_of
from training.data.dataset import Dataset
from training.data.splits import Splits
from training.evaluation import importance_plots, plots, trust_plots
from training.evaluation.candidate import Candidate
from training.evaluation.gate import Skill
from training.evaluation.metrics import evaluate
from training.learners.mlp.fit import MLPLearner
from training.learners.protocol import Fitted, predictor
from training.pipeline import train

PROJECT = Path(__file__).resolve().parents[2]
DATA = PROJECT / "data"

R = TypeVar("R")


def collect(training: Callable[[Callable[[EpochMetrics | Notice], None]], R]) -> tuple[list[EpochMetrics | Notice], R]:
    """Return the events that a training reports, and its result."""
    events: list[EpochMetrics | Notice] = []
    result = training(events.append)
    return events, result


def ignore(event: EpochMetrics | Notice) -> None:
    """Ignore an event."""


def classified(measured: AnyEvaluation | None) -> Evaluation:
    """Return the evaluation of a classification, as which the type checker then knows it."""
    assert isinstance(measured, Evaluation)
    return measured


def valued(measured: AnyEvaluation | None) -> RegressionEvaluation:
    """Return the evaluation of a regression, likewise."""
    assert isinstance(measured, RegressionEvaluation)
    return measured


def clouds(rows: int = 60, *, classes: int = 2, features: int = 2, seed: int = 0, spread: float = 1.0) -> Dataset:
    """Return round clouds, one a class, whose centres lie 4 apart along every feature."""
    generator = np.random.default_rng(seed)
    y = np.arange(rows, dtype=np.int64) % classes
    x = (4.0 * y[:, None] + spread * generator.standard_normal((rows, features))).astype(np.float32)
    columns = tuple(Column(f"x{number}") for number in range(features))
    return Dataset(
        x,
        y,
        columns,
        tuple(f"cloud {number}" for number in range(classes)),
        np.arange(rows) + 2,
        np.arange(rows, dtype=np.uint64),
    )


def slope(rows: int = 200, *, seed: int = 0, noise: float = 1.0) -> Dataset:
    """Return rows of a regression: 1000 + 20 * x0 - 10 * x1 plus noise; the features are standard normal."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows, 2)).astype(np.float32)
    y = 1000 + x.astype(np.float64) @ [20, -10] + noise * generator.standard_normal(rows)
    columns = (Column("x0"), Column("x1"))
    return Dataset(x, y, columns, (), np.arange(rows) + 2, np.arange(rows, dtype=np.uint64))


TYPED = (
    Column("amount"),
    Column("plan", "categorical", ("basic", "plus", "gold"), counts=(1, 1, 1)),
    Column("paperless", "boolean", ("No", "Yes")),
    Column("since", "datetime"),
    Column("city", "categorical", ("Ulm", "Bonn"), counts=(1, 1)),
)


def typed(rows: int = 300, *, seed: int = 0, gaps: float = 0.1) -> Dataset:
    """Return rows of every type of column, whose class depends on plan and amount; `gaps` is the share of NaN cells.

    "city" has the code of other texts, "plan" has not.
    """
    generator = np.random.default_rng(seed)
    amount, plan, city = generator.normal(50, 20, rows), generator.integers(0, 3, rows), generator.integers(0, 3, rows)
    day, second = generator.integers(-20_000, 30_000, rows), generator.integers(0, 86_400, rows)
    x = np.column_stack([amount, plan, generator.integers(0, 2, rows), day, second, city]).astype(np.float32)
    y = ((amount > 50) ^ (plan == 1)).astype(np.int64)
    empty = generator.random((rows, len(TYPED))) < gaps
    for column, cells in enumerate(cells_of(TYPED)):
        x[empty[:, column], cells] = np.nan
    return Dataset(x, y, TYPED, ("stays", "leaves"), np.arange(rows) + 2, np.arange(rows, dtype=np.uint64))


def shuffled_labels(dataset: Dataset, seed: int = 0) -> Dataset:
    """Return the same rows with classes that they have nothing to do with."""
    order = np.random.default_rng(seed).permutation(len(dataset))
    return replace(dataset, y=dataset.y[order])


def settings(**changes: Any) -> TrainingSettings:
    """Return settings that learn the clouds in a blink."""
    fields: dict[str, Any] = {"hidden": (8,), "epochs": 30, "lr": 0.03}
    return TrainingSettings(**{**fields, **changes})


def learnt(dataset: Dataset, **changes: Any) -> Fitted:
    """Return what an MLP learns from these rows."""
    return MLPLearner(settings(**changes)).fit(dataset, None, ignore)


def splits(train: Dataset, test: Dataset) -> Splits:
    """Return the splits of `clouds.csv`."""
    return Splits(train, test, {"clouds.csv": "0" * 64}, (), Target(name="cloud"))


def describe(
    module: nn.Module, train: Dataset, test: Dataset, *, job: str | None = None, parent: int | None = None
) -> tuple[Manifest, bytes]:
    """Return the manifest of a classifier that was fitted to rows, and its `model.pt`."""
    predict, model, naive = predictor(module), to_torchscript(module, train.x), Baseline(accuracy=0.5, log_loss=0.7)
    leader = Leader(name="clouds", role="model", figures=naive, train_s=1, row_us=1)
    candidate = Candidate(
        module,
        predict,
        (),
        {"test": evaluate(predict(test.x), test.y, test.classes, "test")},
        {"majority": naive},
        LeaderBoard(rows=len(test), leaders=(leader,), conclusion="It is the only one."),
        Skill(0.1, 0.1, naive),
    )
    golden = golden_rows(predict, train, test)
    gate = GateReport(policy="always", passed=True, reason="because", active_version=parent)
    return build_manifest(candidate, recipe(), splits(train, test), model, golden=golden, gate=gate, job=job), model


def write_csv(folder: Path, dataset: Dataset, file: str = "clouds.csv") -> Path:
    """Write a data set with its class names in the column `cloud`."""
    lines = [",".join((*dataset.features, "cloud"))]
    lines += [
        ",".join((*map(repr, row), dataset.classes[label]))
        for row, label in zip(dataset.x.tolist(), dataset.y.tolist(), strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text("\n".join(lines) + "\n")
    return path


def recipe(model: str = "clouds", *, data: dict[str, Any] | None = None, **training: Any) -> Recipe:
    """Return a recipe for `clouds.csv` as `write_csv` writes it."""
    source = {"file": "clouds.csv", "target": "cloud", "test_fraction": 0.25, **(data or {})}
    fields = settings(**training).model_dump(mode="json")
    return parse_recipe({"model": model, "network": "CloudNet", "data": source, "training": fields}, "clouds.toml")


def draw_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave plots empty: drawing them is most of a short training, and the tests of plots draw them."""
    for module in (plots, trust_plots, importance_plots):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__annotations__.get("return") == "bytes":
                monkeypatch.setattr(module, name, lambda *_, **__: b"")


def run(recipe: Recipe, folder: Path, **changes: Any) -> tuple[list[EpochMetrics | Notice], JobResult]:
    """Train with data in `<folder>/data` and the store in `<folder>/models`; return the events and the result."""
    repository = ModelRepository(folder / "models")
    settings = TrainingRun(recipe=recipe, data_dir=folder / "data", repository=repository, **changes)
    return collect(lambda report: train(settings, report))


def command(*arguments: str | Path, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    """Run `python -m training ...` and wait for it."""
    return subprocess.run(
        [sys.executable, "-m", "training", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
