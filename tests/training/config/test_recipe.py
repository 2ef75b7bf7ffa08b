from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from modelstore import CardStatements, Overrides
from tests.training.samples import recipe
from training.config.learner_settings import TrainingSettings
from training.config.recipe import BUILT_IN, Recipe, load_recipe, parse_recipe, recipe_names
from training.errors import RecipeError, UnknownRecipe

MINIMAL = """
model = "clouds"
[data]
file = "clouds.csv"
target = "cloud"
test_fraction = 0.2
[training]
hidden = [4]
epochs = 3
lr = 0.1
"""


def load(folder: Path, text: str) -> Recipe:
    (folder / "clouds.toml").write_text(text)
    return load_recipe("clouds", folder)


def test_the_built_in_recipes_are_three_models_with_a_tutorial_each_and_a_regression() -> None:
    names = recipe_names(BUILT_IN)

    assert names == (
        "blobs",
        "blobs-tutorial",
        "cancer",
        "cancer-tutorial",
        "diabetes",
        "digits",
        "iris",
        "iris-tutorial",
    )
    assert [load_recipe(name, BUILT_IN).model for name in names] == [name.removesuffix("-tutorial") for name in names]


@pytest.mark.parametrize("model", ["blobs", "cancer", "iris"])
def test_a_tutorial_has_its_models_data(model: str) -> None:
    assert load_recipe(f"{model}-tutorial", BUILT_IN).data == load_recipe(model, BUILT_IN).data


def test_what_a_recipe_does_not_say_has_a_default(tmp_path: Path) -> None:
    loaded = load(tmp_path, MINIMAL)

    assert loaded.training == TrainingSettings(hidden=(4,), epochs=3, lr=0.1)
    assert (loaded.training.optimizer, loaded.training.batch_size, loaded.data.split_seed) == ("adam", 0, 42)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (("lr = 0.1", "lr = 0.0"), "training.lr"),
        (("lr = 0.1", "lr = nan"), "training.lr"),
        (("lr = 0.1", 'lr = "fast"'), "training.lr"),
        (("epochs = 3", "epochs = 1000000000"), "training.epochs"),
        (("hidden = [4]", "hidden = [0]"), "training.hidden.0"),
        (("epochs = 3", "epoch = 3"), "training.epoch"),
        (("lr = 0.1", "lr = 0.1\nmomentum = 0.9"), "training.momentum"),
        (("lr = 0.1", "lr = 0.1\npatience = 5"), "training"),
        (("test_fraction = 0.2", ""), "data"),
        (("test_fraction = 0.2", 'test_fraction = 0.2\ntest_file = "t.csv"'), "data"),
        (('"clouds.csv"', '"../../etc/passwd"'), "data.file"),
        (('model = "clouds"', 'model = "Clouds!"'), "model"),
        (("test_fraction = 0.2", 'test_fraction = 0.2\nclasses = {a = "x", b = "x"}'), "data"),
        (("test_fraction = 0.2", 'test_fraction = 0.2\noptional = ["cloud"]'), "data"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1].replace("\n", " ") or "nothing",
)
def test_a_wrong_field_is_named(tmp_path: Path, change: tuple[str, str], field: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load(tmp_path, MINIMAL.replace(*change))

    assert (caught.value.source, caught.value.field) == ("clouds.toml", field)
    assert caught.value.expected
    assert "clouds.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("epoch = 3", "training.epoch: expected epochs, perhaps, got 'epoch'"),
        (
            "momentum = 0.9",
            "training.momentum: expected one of the fields learner, search, budget_s, hidden, .*, got 'momentum'",
        ),
    ],
)
def test_an_unknown_field_is_named_with_the_known_ones(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, MINIMAL.replace("epochs = 3", f"epochs = 3\n{line}"))


@pytest.mark.parametrize(
    ("metric", "data", "expected"),
    [
        ("rmse", {"task": "classification"}, "gate.metric = 'log_loss' for a classification"),
        ("rmse", {"classes": {"a": "A", "b": "B"}}, "gate.metric = 'log_loss' for a classification"),
        ("log_loss", {"task": "regression"}, "gate.metric = 'rmse' for a regression"),
    ],
    ids=["classification", "classes", "regression"],
)
def test_a_metric_of_the_other_task_is_refused_where_the_task_is_known(
    metric: str, data: dict[str, Any], expected: str
) -> None:
    content = recipe(data=data).model_dump(mode="json")

    with pytest.raises(RecipeError, match=f"expected {expected}"):
        parse_recipe(content | {"gate": {"metric": metric}}, "mine.toml")


@pytest.mark.parametrize(("metric", "task"), [("rmse", "regression"), ("log_loss", "classification"), (None, None)])
def test_the_metric_tells_the_task_where_the_recipe_does_not(metric: str | None, task: str | None) -> None:
    content = recipe().model_dump(mode="json")

    assert parse_recipe(content | {"gate": {"metric": metric}}, "mine.toml").data.task == task


def test_what_is_no_toml_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"clouds\.toml: expected TOML"):
        load(tmp_path, "model = ")


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(UnknownRecipe, match=f"known recipes: {', '.join(recipe_names(BUILT_IN))}$"):
        load_recipe("titanic", BUILT_IN)


def test_a_recipe_survives_json() -> None:
    original = load_recipe("cancer", BUILT_IN)

    assert parse_recipe(original.model_dump(mode="json"), "manifest") == original


def test_f5_columns_are_named_as_in_a_file_whatever_blanks_and_accents() -> None:
    content = load_recipe("iris", BUILT_IN).model_dump(mode="json")
    content["data"] |= {"target": " kind", "features": ["a\u0302ge ", "x"], "units": {" a\u0302ge": "years"}}

    data = parse_recipe(content, "manifest").data

    assert (data.target, data.features, data.units) == ("kind", ("\u00e2ge", "x"), {"\u00e2ge": "years"})


def test_overrides_replace_only_what_they_give() -> None:
    changed = recipe(epochs=30, lr=0.03).with_overrides(Overrides(hidden=(), epochs=5))

    assert (changed.training.hidden, changed.training.epochs, changed.training.lr) == ((), 5, 0.03)


def test_overrides_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(RecipeError, match="a validation_fraction above 0 for early stopping"):
        recipe().with_overrides(Overrides(patience=5))


def test_a_recipe_states_what_only_people_know(tmp_path: Path) -> None:
    iris = (BUILT_IN / "iris.toml").read_text()
    (tmp_path / "iris.toml").write_text(f'{iris}\n[card]\nowner = "team"\nreview_date = 2027-01-02\n')

    card = load_recipe("iris", tmp_path).card

    assert card == CardStatements(owner="team", review_date=date(2027, 1, 2))
    assert load_recipe("iris", BUILT_IN).with_policies(None, None, card).card == card
