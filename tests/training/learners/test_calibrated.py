from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.runtime.load import load
from modelstore import ModelRepository
from tests.training.samples import clouds, collect, ignore, recipe, run, settings, slope, write_csv
from training.artifact.reproduce import reproduce
from training.config.learner_settings import TrainingSettings
from training.data.columns import Column
from training.data.dataset import Dataset
from training.data.holdout import Grouped
from training.data.splits import hold_out_validation
from training.evaluation.metrics import log_loss
from training.learners.calibrated import fit_calibrated
from training.learners.protocol import Fitted, predictor
from training.learners.temperature import Calibrated

OVERFITTED = settings(hidden=(64, 64), epochs=150, lr=0.01, validation_fraction=0.2)
SOUND = settings(
    hidden=(16,), epochs=200, lr=0.005, batch_size=32, validation_fraction=0.2, patience=10, weight_decay=0.01
)


def noisy(seed: int, rows: int, shift: float = 0.0) -> Dataset:
    """Return rows of two classes, drawn with probabilities that a linear model can know."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((rows, 6)).astype(np.float32)
    logits = x.astype(np.float64) @ np.linspace(1.5, -1, 6) + shift
    y = (generator.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    columns = tuple(Column(f"x{number}") for number in range(6))
    return Dataset(x, y, columns, ("no", "yes"), np.arange(rows) + 2, np.arange(rows, dtype=np.uint64))


def fitted(chosen: TrainingSettings, seed: int, rows: Dataset) -> Fitted:
    chosen = chosen.model_copy(update={"seed": seed})
    return fit_calibrated(chosen, *hold_out_validation(rows, chosen.validation_fraction, seed), ignore)


def change(chosen: TrainingSettings, seed: int) -> float:
    """Return by how much calibration changes the log loss of 4,000 test rows, after training on 400."""
    whole = noisy(seed, 4400)
    test = whole.rows(np.arange(400, 4400))
    found = fitted(chosen, seed, whole.rows(np.arange(400)))
    if not isinstance(found.module, Calibrated):
        return 0.0
    before, after = (log_loss(predictor(module)(test.x), test.y) for module in (found.module.model, found.module))
    return after - before


@pytest.mark.slow
def test_an_overfitted_network_is_better_calibrated_and_a_sound_one_is_left_alone() -> None:
    assert sum(change(OVERFITTED, seed) < 0 for seed in range(20)) >= 19
    assert max(change(SOUND, seed) for seed in range(20)) <= 0.002


@pytest.mark.parametrize("learner", ["validation rows", "folds", "neither"])
def test_held_out_answers_are_calibrated_as_the_module(learner: str) -> None:
    rows = noisy(1, 400)
    chosen = {
        "validation rows": OVERFITTED,
        "folds": TrainingSettings(learner="linear"),
        "neither": OVERFITTED.model_copy(update={"validation_fraction": 0.0}),
    }[learner]

    found = fitted(chosen, 0, rows)

    if learner == "neither":
        assert (found.held_out, found.temperature) == (None, None)
        assert not isinstance(found.module, Calibrated)  # such as the recipes of the tutorials
        return
    assert found.held_out is not None
    assert len(found.held_out.y) == (80 if learner == "validation rows" else 400)
    if learner == "validation rows":
        _, validation = hold_out_validation(rows, 0.2, 0)
        assert validation is not None
        np.testing.assert_allclose(found.held_out.answers, predictor(found.module)(validation.x), atol=1e-5)


@pytest.mark.parametrize("learner", ["linear", "trees", "mlp", pytest.param("realmlp", marks=pytest.mark.slow)])
def test_held_out_rows_have_their_groups(learner: Any) -> None:
    groups = np.arange(100).astype(np.uint64) // np.uint64(4)
    rows = replace(clouds(100), groups=groups)
    chosen = settings(validation_fraction=0.2, epochs=2) if learner == "mlp" else TrainingSettings(learner=learner)
    held = hold_out_validation(rows, chosen.validation_fraction, 0, Grouped("x0"))

    found = fit_calibrated(chosen, *held, ignore, way=Grouped("x0")).held_out

    assert found is not None
    assert found.groups is not None
    expected = groups if held[1] is None else held[1].groups
    assert expected is not None
    assert found.groups.tolist() == expected.tolist()


def test_class_weights_are_undone_so_that_the_mean_probability_is_the_frequency() -> None:
    rows = noisy(2, 3000, shift=-3.0)
    frequency = rows.y.mean()
    weighted = settings(hidden=(), epochs=200, lr=0.1, class_weights="balanced")

    found = fitted(weighted, 0, rows)

    assert isinstance(found.module, Calibrated)
    assert frequency < 0.15
    assert predictor(found.module.model)(rows.x)[:, 1].mean() > frequency + 0.1
    assert predictor(found.module)(rows.x)[:, 1].mean() == pytest.approx(frequency, abs=0.01)
    assert found.temperature is None


def test_a_regression_has_no_temperature_but_held_out_answers() -> None:
    found = fit_calibrated(settings(), slope(100), slope(50, seed=1), ignore)

    assert (found.temperature, isinstance(found.module, Calibrated)) == (None, False)
    assert found.held_out is not None
    assert found.held_out.answers.shape == (50, 1)


@pytest.mark.slow
def test_the_module_can_be_exported_by_torch_export() -> None:
    rows = noisy(1, 400)
    module = fitted(OVERFITTED, 0, rows).module
    assert isinstance(module, Calibrated)

    example, batch = torch.from_numpy(rows.x), torch.export.Dim("batch")
    exported = torch.export.export(module, (example,), dynamic_shapes=({0: batch},)).module()

    torch.testing.assert_close(exported(example[:7]), module(example[:7]), atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_calibrated_version_is_published_proved_by_the_service_and_reproduced(tmp_path: Path) -> None:
    write_csv(tmp_path / "data", clouds(400, features=4, spread=8.0))
    chosen = recipe(hidden=(64, 64), epochs=150, lr=0.01, validation_fraction=0.3, class_weights="balanced")

    _, result = run(chosen, tmp_path, policy="always")
    found = ModelRepository(tmp_path / "models").find("clouds", 1)
    manifest = found.manifest()

    assert result.reason == "succeeded", result.detail
    assert manifest.temperature is not None
    assert manifest.temperature > 1
    answers = load(found, "cpu").infer(np.array(manifest.golden.features, dtype=np.float32))
    np.testing.assert_allclose(answers, np.array(manifest.golden.outputs), atol=1e-5)
    _, outcome = collect(lambda report: reproduce(found, tmp_path / "data", report))
    assert outcome.differing == 0
