"""What a model version takes and answers."""

from __future__ import annotations

import numpy as np

from app.schema import ModelSchema
from tests.app.tables import schema_of
from tests.fakes import MeanModel, manifest_for


def test_schema_is_that_of_the_manifest() -> None:
    manifest = manifest_for(MeanModel(3, 0.0), b"a model", features=("x", "y"), classes=("none", "some", "all"))

    schema = ModelSchema.of(manifest, 7)

    assert (schema.name, schema.version, schema.features) == ("means", 7, ("x", "y"))
    assert (schema.columns, schema.classes) == ({"x": 0, "y": 1}, ("none", "some", "all"))
    assert schema.low.dtype == schema.high.dtype == np.float32
    assert (schema.low.tolist(), schema.high.tolist()) == ([0, 0], [1, 1])


def test_names_are_recognised_whatever_blanks_and_accents() -> None:
    schema = schema_of(("\u00e9tat", " width"))

    assert schema.spell_as_features(["e\u0301tat ", "width", "height "]) == ["\u00e9tat", " width", "height"]


def test_exact_name_wins_and_one_that_may_be_either_is_neither() -> None:
    schema = schema_of(("width", " width"))  # of an old version, which was trained before such names were one

    assert schema.spell_as_features(["width", " width", "width  "]) == ["width", " width", "width"]


def test_expectation_says_how_many_features_and_where_they_are_listed() -> None:
    assert schema_of(("x", "y")).expectation == "means expects 2 features per row; see GET /models/means"
