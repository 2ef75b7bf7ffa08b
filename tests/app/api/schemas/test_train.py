"""What the schemas of trainings let through, and that trainings are shown as they say."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from tests.app.problems import assert_problem

BAD_QUERIES = [
    "limit=0",
    "limit=501",
    "limit=x",
    "before=0",
    "before=-1",
    f"before={10**30}",
    "status=done",
    "model=../x",
]


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_query_of_the_list_is_refused_by_name(steady: TestClient, query: str) -> None:
    problem = assert_problem(steady.get(f"/train?{query}"), 422)

    assert problem["errors"][0]["feature"] == query.partition("=")[0]


def test_training_example_fits_its_schema(document: dict[str, Any]) -> None:
    content = document["paths"]["/train"]["post"]["requestBody"]["content"]["application/json"]
    schema = {**content["schema"], "components": document["components"]}

    for example in content["examples"].values():
        jsonschema.Draft202012Validator(schema).validate(example["value"])


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 201])
def test_name_of_a_column_that_is_refused_does_not_fit_the_schema(
    steady: TestClient, document: dict[str, Any], name: str
) -> None:
    schema = document["paths"]["/train"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    asked = {"model": "means", "dataset": "rows", "target": "y", "types": {name: "numeric"}}

    assert not jsonschema.Draft202012Validator(schema).is_valid(asked)
    assert jsonschema.Draft202012Validator(schema).is_valid({**asked, "types": {"x": "numeric"}})
    assert_problem(steady.post("/train", json=asked), 422)
