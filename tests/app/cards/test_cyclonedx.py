"""The CycloneDX card: valid by its schema, with what people stated and what they did not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from app.cards.cyclonedx import write_bom
from app.cards.facts import CardFacts
from tests.app.cards.samples import attacked, whole
from tests.modelstore.samples import sample_manifest, sample_regression


@pytest.fixture(scope="module")
def validator() -> JsonStrictValidator:
    return JsonStrictValidator(SchemaVersion.V1_6)


@pytest.mark.parametrize(
    "facts",
    [whole(), attacked(), CardFacts(1, sample_manifest()), CardFacts(1, sample_regression())],
    ids=["whole", "attacked", "small", "regression"],
)
def test_bill_of_materials_is_valid(facts: CardFacts, validator: JsonStrictValidator) -> None:
    assert validator.validate_str(json.dumps(write_bom(facts))) is None


def test_validator_refuses_what_is_wrong(validator: JsonStrictValidator) -> None:
    bom = write_bom(whole())
    bom["metadata"]["component"]["modelCard"]["considerations"]["users"] = "all"

    assert validator.validate_str(json.dumps(bom)) is not None


def test_model_card_has_figures_slices_limits_and_statements() -> None:
    component = write_bom(whole())["metadata"]["component"]
    card: dict[str, Any] = component["modelCard"]

    assert component["hashes"] == [{"alg": "SHA-256", "content": whole().manifest.sha256}]
    assert component["authors"] == [{"name": "the garden"}]
    assert card["considerations"]["useCases"] == ["herbaria"]
    assert card["modelParameters"]["datasets"][0]["sensitiveData"] == ["found"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert {
        "type": "accuracy",
        "value": "0.6",
        "slice": "test, soil = a, 40 rows",
        "confidenceInterval": {"lowerBound": "0.4", "upperBound": "0.75"},
    } in metrics
    properties = {one["name"]: one["value"] for one in card["properties"]}
    assert properties["tabserve:stated:licence"] == "not stated"
    assert properties["tabserve:gate:reason"] == "first version"


def test_the_same_version_has_the_same_serial_number() -> None:
    assert write_bom(whole())["serialNumber"] == write_bom(whole())["serialNumber"]
    assert write_bom(whole())["serialNumber"] != write_bom(attacked().__class__(4, whole().manifest))["serialNumber"]
