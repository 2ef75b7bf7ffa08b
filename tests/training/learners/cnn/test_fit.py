"""The learner of images, from a table to a served version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.runtime import load as runtime
from modelstore import ModelRepository
from tests.training.samples import DATA, clouds, ignore, run
from training.artifact.reproduce import reproduce
from training.config.learner_settings import TrainingSettings
from training.config.recipe import BUILT_IN, Recipe, load_recipe, parse_recipe
from training.data.columns import Column
from training.data.dataset import Dataset
from training.data.splits import load_splits
from training.errors import RecipeError
from training.learners.calibrated import fit_calibrated
from training.learners.cnn.fit import CNNLearner
from training.learners.protocol import predictor


def stripes(rows: int = 120, channels: int = 1, seed: int = 0) -> Dataset:
    """Return noisy images of 4 x 6 pixels with a line, lying (class 0) or standing (class 1), anywhere."""
    generator = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    x = generator.normal(0, 0.1, (rows, channels, 4, 6))
    for number, standing in enumerate(y):
        if standing:
            x[number, :, :, generator.integers(6)] += 1
        else:
            x[number, :, generator.integers(4), :] += 1
    pixels = x.reshape(rows, -1).astype(np.float32)
    columns = tuple(Column(f"p{number}") for number in range(pixels.shape[1]))
    return replace(clouds(rows), x=pixels, y=y, columns=columns)


def learner(**changes: Any) -> CNNLearner:
    image = {"height": 4, "width": 6, "channels": changes.pop("channels", 1)}
    fields = {
        "learner": "cnn",
        "image": image,
        "filters": [4],
        "hidden": [8],
        "epochs": 30,
        "batch_size": 32,
        "lr": 0.02,
    }
    return CNNLearner(TrainingSettings.model_validate({**fields, **changes}, strict=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"channels": 3, "batch_norm": True, "activation": "gelu"}, marks=pytest.mark.slow),
        {"shift": 1, "flip": True, "noise": 0.1, "dropout": 0.2},
    ],
    ids=str,
)
def test_a_shape_is_learnt_wherever_it_lies_with_the_same_bits_again(changes: dict[str, Any]) -> None:
    train, test = (stripes(seed=seed, channels=changes.get("channels", 1)) for seed in (0, 1))

    first, again = (learner(**changes).fit(train, None, ignore).module for _ in range(2))

    assert (predictor(first)(test.x).argmax(axis=1) == test.y).mean() > 0.95
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))


@pytest.mark.slow
def test_pixels_are_standardised_by_channel() -> None:
    train = stripes(channels=3)
    train.x[:, 24:48] *= 100

    module: Any = learner(channels=3, epochs=1).fit(train, None, ignore).module

    channels = train.x.reshape(-1, 3, 24)
    np.testing.assert_allclose(module.scaler.mean, np.repeat(channels.mean(axis=(0, 2)), 24), rtol=1e-4)
    np.testing.assert_allclose(module.scaler.scale, np.repeat(channels.std(axis=(0, 2)), 24), rtol=1e-4)


@pytest.mark.slow
def test_a_quantity_is_learnt_in_its_unit() -> None:
    train = stripes(200)
    train = replace(train, classes=(), y=500 + 100 * train.x.sum(axis=1).astype(np.float64))

    answers = predictor(learner(epochs=60).fit(train, None, ignore).module)(train.x)[:, 0]

    assert np.corrcoef(answers, train.y)[0, 1] > 0.95
    assert abs(answers.mean() - train.y.mean()) < 0.1 * train.y.std()


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (tuple(Column(f"p{number}") for number in range(23)), "23 columns, 23 of them numbers"),
        (
            (*(Column(f"p{number}") for number in range(23)), Column("b", "boolean", ("0", "1"))),
            "24 columns, 23 of them",
        ),
    ],
    ids=["too few", "a truth value"],
)
def test_columns_that_are_no_such_images_are_refused(columns: tuple[Column, ...], found: str) -> None:
    train = stripes()
    rows = replace(train, x=train.x[:, : len(columns)], columns=columns)

    with pytest.raises(RecipeError, match=f"image: expected 4 x 6 x 1 = 24 columns, all of them numbers, got '{found}"):
        learner().fit(rows, None, ignore)


@pytest.mark.slow
def test_torch_export_takes_the_module() -> None:
    rows = stripes(30)
    module, x = learner(epochs=1, batch_norm=True).fit(rows, None, ignore).module, torch.from_numpy(rows.x)

    with torch.no_grad():
        exported = torch.export.export(module, (x[:7],), dynamic_shapes=({0: torch.export.Dim("rows", min=1)},))
        torch.testing.assert_close(exported.module()(x), module(x), atol=1e-6, rtol=1e-6)


def digits(**changes: Any) -> Recipe:
    found = load_recipe("digits", BUILT_IN).model_dump(mode="json")
    return parse_recipe({**found, "training": {**found["training"], **changes}}, "digits.toml")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_version_keeps_all_pixels_serves_and_is_the_same_bits_again(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(DATA)

    _, result = run(digits(epochs=3, filters=[8, 16], hidden=[32], dropout=0.1, lr=0.01), tmp_path)

    found = ModelRepository(tmp_path / "models").find("digits", result.version or 0)
    manifest = found.manifest()
    assert len(manifest.features) == 64
    assert not manifest.left_out
    assert not [warning for warning in result.warnings if "constant" in warning]
    served = runtime.load(found, "cpu")
    x = np.loadtxt(DATA / "digits.csv", delimiter=",", skiprows=1, dtype=np.float32)
    assert (served.infer(x[:, :64]).argmax(axis=1) == x[:, 64]).mean() > 0.8
    assert reproduce(found, tmp_path / "data", ignore).differing == 0


@pytest.mark.slow
def test_digits_are_read_as_well_as_promised() -> None:
    recipe = digits()
    splits = load_splits(recipe.data, DATA, recipe.training, calibrate=True)
    train, validation = splits.hold_out(recipe.training.validation_fraction, recipe.training.seed)

    module = fit_calibrated(recipe.training, train, validation, ignore, way=splits.way).module

    answers = predictor(module)(splits.test.x)

    assert (answers.argmax(axis=1) == splits.test.y).mean() >= 0.985
