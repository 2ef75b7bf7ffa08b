"""Overrides: what a caller may change about a recipe, and how far."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from pydantic import ValidationError

from modelstore import Overrides
from modelstore.overrides import SETTINGS, LearnerName

LARGEST = {
    "learner": "mlp",
    "search": 500,
    "budget_s": 86_400,
    "hidden": [4096] * 8,
    "dropout": 0.999,
    "epochs": 100_000,
    "batch_size": 10_000_000,
    "optimizer": "adamw",
    "lr": 1e9,
    "weight_decay": 100,
    "schedule": "plateau",
    "patience": 100_000,
    "class_weights": "balanced",
    "validation_fraction": 0.5,
    "activation": "sigmoid",
    "batch_norm": True,
    "l1": 100,
    "init": "xavier",
    "image": {"height": 10_000, "width": 10_000, "channels": 10_000},
    "filters": [1024] * 8,
    "shift": 100,
    "flip": True,
    "rotate": 180,
    "zoom": 0.9,
    "noise": 100,
    "realmlp": {"hidden": [4096] * 8, "lr": 10, "dropout": 0.9, "weight_decay": 100, "frequency": 100},
    "trees": {"lr": 1, "leaves": 256, "depth": 8, "leaf_rows": 100_000, "l2": 1000, "columns": 1},
    "seed": 2**32 - 1,
}
SMALLEST = {
    "learner": "linear",
    "search": 0,
    "budget_s": 1,
    "hidden": [],
    "dropout": 0,
    "epochs": 1,
    "batch_size": 0,
    "optimizer": "sgd",
    "lr": 1e-300,
    "weight_decay": 0,
    "schedule": "constant",
    "patience": 0,
    "class_weights": "none",
    "validation_fraction": 0,
    "activation": "relu",
    "batch_norm": False,
    "l1": 0,
    "init": "torch",
    "image": {"height": 1, "width": 1, "channels": 1},
    "filters": [1],
    "shift": 0,
    "flip": False,
    "rotate": 0,
    "zoom": 0,
    "noise": 0,
    "realmlp": {"hidden": [1], "lr": 1e-300, "dropout": 0, "weight_decay": 0, "frequency": 1e-300},
    "trees": {"lr": 1e-300, "leaves": 2, "depth": 1, "leaf_rows": 1, "l2": 0, "columns": 1e-300},
    "seed": 0,
}


@pytest.mark.parametrize("values", [LARGEST, SMALLEST], ids=["largest", "smallest"])
def test_bounds_themselves_are_allowed(values: dict[str, object]) -> None:
    assert set(values) == set(Overrides.model_fields)
    assert Overrides.model_validate_json(json.dumps(values)).to_dict() == values


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden", [0]),
        ("hidden", [4097]),
        ("hidden", [8] * 9),
        ("hidden", [8.0]),
        ("dropout", 1),
        ("dropout", -0.1),
        ("dropout", float("nan")),
        ("epochs", 0),
        ("epochs", 100_001),
        ("epochs", True),
        ("epochs", "10"),
        ("batch_size", -1),
        ("batch_size", 10_000_001),
        ("optimizer", "lbfgs"),
        ("lr", 0),
        ("lr", 1.1e9),
        ("lr", float("inf")),
        ("lr", float("nan")),
        ("weight_decay", -1),
        ("weight_decay", 101),
        ("weight_decay", float("nan")),
        ("schedule", "step"),
        ("patience", -1),
        ("patience", 100_001),
        ("class_weights", "heavy"),
        ("validation_fraction", 0.51),
        ("validation_fraction", float("nan")),
        ("activation", "softmax"),
        ("batch_norm", 1),
        ("l1", -0.1),
        ("l1", 101),
        ("init", "zeros"),
        ("image", {"height": 8}),
        ("image", {"height": 8, "width": 0}),
        ("filters", []),
        ("shift", -1),
        ("rotate", 181),
        ("zoom", 1),
        ("noise", -0.1),
        ("seed", -1),
        ("seed", 2**32),
        ("learning_rate", 0.1),
    ],
)
def test_values_beyond_the_bounds_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Overrides.model_validate_json(json.dumps({field: value}))
    assert caught.value.errors()[0]["loc"][0] == field


def test_only_what_was_given_overrides() -> None:
    assert Overrides().to_dict() == {}
    assert Overrides(seed=0, hidden=()).to_dict() == {"hidden": [], "seed": 0}


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("lr", "Input should be a valid number"),
        ("epochs", "Input should be a valid integer"),
        ("hidden", "Input should be a valid array"),
        ("optimizer", "Input should be 'sgd', 'adam' or 'adamw'"),
        ("schedule", "Input should be 'constant', 'cosine' or 'plateau'"),
        *[(field, "Input should be") for field in Overrides.model_fields],
    ],
)
def test_null_is_refused_with_the_field_and_what_is_expected(field: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Overrides.model_validate_json(json.dumps({field: None}))

    (fault,) = caught.value.errors()
    assert fault["loc"] == (field,)
    assert expected in fault["msg"]


def test_every_setting_belongs_to_a_learner() -> None:
    assert list(SETTINGS) == list(get_args(LearnerName))
    owned = {name for settings in SETTINGS.values() for name in settings}
    assert owned | {"learner", "seed"} == set(Overrides.model_fields)


@pytest.mark.parametrize(
    ("fields", "default", "meant"),
    [
        ({}, "linear", "linear"),
        ({"seed": 1}, "linear", "linear"),
        ({"epochs": 3}, "linear", "mlp"),
        ({"epochs": 3}, "mlp", "mlp"),
        ({"learner": "linear"}, "mlp", "linear"),
        ({"learner": "linear", "epochs": 3}, "mlp", "linear"),
        ({"search": 20}, "auto", "auto"),
        ({"search": 20, "epochs": 3}, "auto", "mlp"),
    ],
)
def test_settings_of_the_network_mean_an_mlp_where_no_learner_is_named(
    fields: dict[str, object], default: LearnerName, meant: LearnerName
) -> None:
    assert Overrides.model_validate(fields).learner_beside(default) == meant
