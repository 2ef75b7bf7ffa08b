from __future__ import annotations

from typing import Any

import pytest

from modelstore import Overrides
from modelstore.overrides import Image
from training.config.recipe import BUILT_IN
from training.config.run import read_names, read_overrides, recipe_for
from training.errors import RecipeError, UnknownRecipe, WrongModel

NAMES = ("a,b", "two\nlines", '"quoted"', "-x", "=1", "\N{GRINNING FACE}")


def assigned(*assignments: str) -> Overrides:
    return read_overrides(None, assignments, None)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("hidden=32,16", "hidden", (32, 16)),
        ("hidden=8", "hidden", (8,)),
        ("hidden=", "hidden", ()),
        ("epochs=200", "epochs", 200),
        ("lr=1e-3", "lr", 0.001),
        ("lr=1", "lr", 1.0),
        ("dropout=.5", "dropout", 0.5),
        ("optimizer=adamw", "optimizer", "adamw"),
        ("class_weights=balanced", "class_weights", "balanced"),
        ("batch_norm=true", "batch_norm", True),
        ("filters=8,16", "filters", (8, 16)),
        ("image=8,6", "image", Image(height=8, width=6)),
        ("image=8,6,3", "image", Image(height=8, width=6, channels=3)),
        ("batch_norm=false", "batch_norm", False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_assignment_is_read_by_its_fields_type(text: str, field: str, value: Any) -> None:
    assert assigned(text) == Overrides(**{field: value})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("epochs=0", "epochs"),
        ("epochs=1000000000", "epochs"),
        ("epochs=2.5", "epochs"),
        ("epochs=many", "epochs"),
        ("lr=nan", "lr"),
        ("lr=-1", "lr"),
        ("lr=inf", "lr"),
        ("hidden=32,x", "hidden.1"),
        ("hidden=0", "hidden.0"),
        ("optimizer=lbfgs", "optimizer"),
        ("dropout=1", "dropout"),
        ("batch_norm=yes", "batch_norm"),
        ("image=8", "image.width"),
        ("image=8,6,3,1", "image"),
        ("momentum=0.9", "momentum"),
    ],
)
def test_a_wrong_value_names_its_field(text: str, field: str) -> None:
    with pytest.raises(RecipeError) as caught:
        assigned(text)

    assert caught.value.field == field


def test_an_unknown_field_lists_the_known_ones() -> None:
    with pytest.raises(
        RecipeError, match="expected one of the fields learner, search, budget_s, hidden, dropout, epochs"
    ):
        assigned("momentum=0.9")


def test_no_equals_sign_is_said_so() -> None:
    with pytest.raises(RecipeError, match="expected key=value, such as epochs=200, got 'epochs'"):
        assigned("epochs")


def test_the_more_particular_argument_wins() -> None:
    overrides = read_overrides('{"epochs": 1, "lr": 0.5, "seed": 1}', ["epochs=2", "seed=2"], 3)

    assert overrides == Overrides(epochs=2, lr=0.5, seed=3)


@pytest.mark.parametrize("document", ["{", "[]", "7", '"text"'])
def test_a_document_that_is_no_object_is_refused(document: str) -> None:
    with pytest.raises(RecipeError, match="a JSON object"):
        read_overrides(document, (), None)


def test_a_model_is_trained_by_the_recipe_of_its_name_or_a_variant() -> None:
    assert recipe_for("cancer", None, Overrides(), BUILT_IN).training.optimizer == "adam"
    assert recipe_for("cancer", "cancer-tutorial", Overrides(), BUILT_IN).training.optimizer == "sgd"


def test_a_recipe_of_another_model_is_refused_with_what_to_say() -> None:
    with pytest.raises(WrongModel, match="say: fit cancer --recipe cancer-tutorial"):
        recipe_for("cancer-tutorial", None, Overrides(), BUILT_IN)


def test_an_unknown_model_lists_the_recipes() -> None:
    with pytest.raises(UnknownRecipe, match="known recipes: blobs"):
        recipe_for("titanic", None, Overrides(), BUILT_IN)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("age,visits", ("age", "visits")),
        ('"a,b",c', ("a,b", "c")),
        ("", ()),
        ("[kg] weight,[m] height", ("[kg] weight", "[m] height")),
        ("[1]", ("[1]",)),
        ('["a,b","two\\nlines","\\"quoted\\"","-x","=1","\N{GRINNING FACE}"]', NAMES[:6]),
    ],
)
def test_f7_names_are_a_list_with_commas_or_a_json_array(text: str, names: tuple[str, ...]) -> None:
    assert read_names(text) == names


@pytest.mark.parametrize("text", ["two\nlines,b", '"a'])
def test_f7_names_that_are_neither_are_wrong_usage(text: str) -> None:
    with pytest.raises(RecipeError, match="JSON array of names"):
        read_names(text)
