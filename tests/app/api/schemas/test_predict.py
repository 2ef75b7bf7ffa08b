"""The schema of a prediction request: what a version takes, and what else it can answer."""

from __future__ import annotations

from typing import Any

import jsonschema
from starlette.testclient import TestClient

from app.api.schemas.predict import options_of
from modelstore import Background, Conformal, Manifest
from tests.fakes import MeanModel, manifest_for, script
from tests.modelstore.samples import sample_regression


def test_numbers_that_float32_cannot_hold_are_outside_the_schema(steady: TestClient, document: dict[str, Any]) -> None:
    schema = document["paths"]["/predict/means"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    for number, status in ((3.4028235677973366e38, 422), (3.4028235677973362e38, 200), (1e39, 422), (-3.4e38, 200)):
        body = {"instances": [[0, number]]}
        assert jsonschema.Draft202012Validator(schema).is_valid(body) == (status == 200)
        assert steady.post("/predict/means", json=body).status_code == status


def plain() -> Manifest:
    model = MeanModel(2, 0.0)
    return manifest_for(model, script(model))


def test_a_version_without_background_rows_and_scores_offers_neither_explanations_nor_sets() -> None:
    manifest = plain()

    options = options_of(manifest)

    assert options.keys() == {"ids", "abstain"}
    assert options["abstain"]["oneOf"][1]["properties"].keys() == {"below", "out_of_range"}


def test_explanations_are_of_the_classes_that_there_are() -> None:
    background = Background(rows=((0.0, 1.0),), weights=(1.0,))
    manifest = plain().model_copy(update={"background": background})
    quantity = sample_regression().model_copy(update={"background": background})

    explained = options_of(manifest)["explain"]["oneOf"][1]["properties"]

    assert explained["class"]["enum"] == [*manifest.classes]
    assert options_of(quantity)["explain"]["oneOf"][1]["properties"].keys() == {"top"}


def test_abstaining_is_by_sets_of_classes_and_by_the_width_of_intervals() -> None:
    quantity = sample_regression()
    scores = Conformal(score="absolute", rows=1, source="split", guarantee="marginal", scores=(0.5,))
    scored = quantity.model_copy(update={"conformal": scores})

    wishes = [options_of(one)["abstain"]["oneOf"][1]["properties"].keys() for one in (quantity, scored)]

    assert wishes == [{"out_of_range"}, {"confidence", "wider", "out_of_range"}]
