from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

from modelstore import Dialect, InvalidName, JobResult, ModelRepository, Overrides
from tests.training.samples import DATA, classified, ignore
from training.cli.commands import app
from training.config.default_recipe import SIZES, name_for, recipe_for_data
from training.config.recipe import parse_recipe
from training.config.run import TrainingRun
from training.data.splits import load_splits
from training.errors import DatasetError, RecipeError
from training.evaluation.metrics import log_loss
from training.pipeline import train


def write(folder: Path, x: np.ndarray, y: np.ndarray) -> Path:
    names = ",".join([*(f"x{number}" for number in range(x.shape[1])), "kind"])
    rows = [",".join([*map(repr, row), f"class {label}"]) for row, label in zip(x.tolist(), y.tolist(), strict=True)]
    path = folder / "Mine 1.csv"
    path.write_text("\n".join([names, *rows]))
    return path


def fitted(path: Path, target: str, models: Path, overrides: Overrides | None = None) -> JobResult:
    recipe = recipe_for_data(path, target, overrides=overrides)
    return train(TrainingRun(recipe, path.parent, ModelRepository(models)), ignore)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("churn.csv", "churn"),
        ("Churn 2024 (v2).csv", "churn-2024-v2"),
        ("ä.csv", "model"),
        (f"{'x' * 99}.csv", "x" * 64),
    ],
)
def test_a_model_is_named_after_its_file(file: str, name: str) -> None:
    assert name_for(Path(file)) == name


def test_the_recipe_is_complete_and_survives_json() -> None:
    recipe = recipe_for_data(DATA / "iris.csv", "species", features=("petal width (cm)", "petal length (cm)"))

    assert (recipe.model, recipe.data.file, recipe.data.target) == ("iris", "iris.csv", "species")
    assert recipe.data.features == ("petal width (cm)", "petal length (cm)")
    assert recipe.data.assign == "hash"
    assert recipe.description == "Predicts 'species' from other columns of iris.csv; made without a recipe."
    assert parse_recipe(recipe.model_dump(mode="json"), "manifest") == recipe
    assert recipe.training.learner == "auto"
    assert recipe.with_overrides(Overrides(hidden=(), epochs=3)).training.epochs == 3


def test_the_margin_is_one_standard_error() -> None:
    gate = recipe_for_data(DATA / "iris.csv", "species").gate

    assert (gate.metric, gate.margin, gate.margin_errors) == (None, 0, 1)


def test_the_recipe_keeps_what_is_known_of_the_dialect_and_leaves_the_rest_to_be_detected() -> None:
    known = Dialect(delimiter=";", decimal=",")

    assert recipe_for_data(DATA / "iris.csv", "species", dialect=known).data.dialect == known
    assert recipe_for_data(DATA / "iris.csv", "species", dialect=Dialect()).data.dialect is None


@pytest.mark.parametrize(("rows", "size"), [(100, 0), (5_000, 0), (5_001, 1), (100_001, 2), (1_000_001, 3)])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_f10_settings_follow_the_number_of_rows(tmp_path: Path, rows: int, size: int, end: bytes) -> None:
    (tmp_path / "mine.csv").write_bytes(end * (rows + 1))  # the first is the header

    recipe = recipe_for_data(tmp_path / "mine.csv", "kind", overrides=Overrides(learner="mlp"))

    assert recipe.training.batch_size == SIZES[size].batch_size
    assert recipe.data.test_fraction == SIZES[size].test_fraction


def test_what_cannot_be_a_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidName):
        recipe_for_data(DATA / "iris.csv", "species", model="No Name")
    with pytest.raises(DatasetError, match="no such file"):
        recipe_for_data(tmp_path / "nowhere.csv", "kind")
    with pytest.raises(RecipeError, match="features that differ from each other and from the target"):
        recipe_for_data(DATA / "iris.csv", "species", features=("species ",))


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("file", "target"), [("labeled_cancer_data.csv", "class"), ("classification", "kind")])
def test_without_any_choice_it_passes_the_gate_and_is_about_as_good_as_logistic_regression(
    file: str, target: str, tmp_path: Path
) -> None:
    if file == "classification":
        path = write(tmp_path, *make_classification(300, 12, n_informative=6, n_classes=3, flip_y=0.1, random_state=1))
    else:
        path = DATA / file

    result = fitted(path, target, tmp_path / "models")

    splits = load_splits(recipe_for_data(path, target).data, path.parent)
    reference = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(splits.train.x, splits.train.y)
    expected = log_loss(reference.predict_proba(splits.test.x), splits.test.y)
    assert result.activated, result.detail
    assert classified(result.metrics["test"]).log_loss < expected + 0.05  # nats; a test split of 30 rows says no more


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_noise_with_very_many_columns_looks_no_better_than_it_is(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = write(tmp_path, generator.normal(size=(500, 600)).astype(np.float32), generator.permutation(500) % 2)

    result = fitted(path, "kind", tmp_path / "models", Overrides(learner="mlp"))

    three_errors = 3 * 0.5 / 100**0.5
    assert classified(result.metrics["test"]).accuracy == pytest.approx(0.5, abs=three_errors)
    assert not result.activated


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("features", "told"), [("x1,x0", None), ("-", '["x1","x0"]'), ("-", "x1,x0\n")])
def test_the_command_needs_a_file_and_a_target(tmp_path: Path, features: str, told: str | None) -> None:
    path = write(tmp_path, *make_moons(200, noise=0.2, random_state=0))
    models = ["--models-dir", str(tmp_path / "models")]

    command = [
        "fit",
        "--data",
        str(path),
        "--target",
        "kind",
        "--features",
        features,
        "--set",
        "learner=linear",
        *models,
    ]
    done = CliRunner().invoke(app, command, input=told)

    assert done.exit_code == 0, done.output
    manifest = ModelRepository(tmp_path / "models").find("mine-1", 1).manifest()
    assert (manifest.feature_names, manifest.classes) == (("x1", "x0"), ("class 0", "class 1"))
    assert manifest.lineage.data_sha256.keys() == {"Mine 1.csv"}


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_f5_names_are_those_of_the_file_whatever_blanks_and_accents(tmp_path: Path) -> None:
    x, y = make_moons(200, noise=0.2, random_state=0)
    content = write(tmp_path, x, y).read_text().partition("\n")[2]
    (tmp_path / "mine.csv").write_text(f"a\u0302ge, x1 ,kind \n{content}")
    columns = ["--target", " kind", "--features", "x1 ,\u00e2ge", "--set", "learner=linear"]
    models = ["--models-dir", str(tmp_path / "models")]

    done = CliRunner().invoke(app, ["fit", "--data", str(tmp_path / "mine.csv"), *columns, *models])

    assert done.exit_code == 0, done.output
    found = ModelRepository(tmp_path / "models").find("mine", 1)
    assert found.manifest().feature_names == ("x1", "\u00e2ge")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_f5_version_of_old_whose_names_have_blanks_is_compared_and_replaced(tmp_path: Path) -> None:
    x, y = make_moons(200, noise=0.2, random_state=0)
    path = write(tmp_path, x, y)
    fitted(path, "kind", tmp_path / "models", Overrides(learner="linear"))
    found = ModelRepository(tmp_path / "models").find("mine-1", 1)
    manifest = found.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"x0"', '" x0"'))
    assert found.manifest().feature_names == (" x0", "x1")

    result = fitted(path, "kind", tmp_path / "models", Overrides(learner="linear"))

    assert result.gate is not None
    assert result.gate.active_log_loss == result.gate.candidate_log_loss  # the same training, measured alike


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "the NAME of a recipe, or --data FILE --target COLUMN"),
        (["--target", "species"], "the NAME of a recipe, or --data FILE --target COLUMN"),
        (["--data", "iris.csv"], "--target COLUMN beside it"),
        (["--data", "iris.csv", "--target", "species", "--recipe", "iris"], "no --recipe"),
        (["--data", "nowhere.csv", "--target", "species"], "no such file"),
    ],
    ids=["nothing", "no data", "no target", "a recipe too", "no such file"],
)
def test_wrong_usage_says_what_to_say(arguments: list[str], problem: str) -> None:
    done = CliRunner().invoke(app, ["fit", *arguments])

    assert done.exit_code == 2
    assert problem in done.stderr
