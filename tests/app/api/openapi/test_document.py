"""The API's own description: valid, and true of the models that serve."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from modelstore import Conformal, ModelRepository
from modelstore.names import RESERVED
from tests.app.openapi import contents, operations, responses, walk
from tests.app.waiting import until
from tests.fakes import publish

METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}


def test_document_has_the_shape_of_openapi_3_1(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"] == "Tabserve"
    assert document["info"]["version"]
    identifiers = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)
    for path, method, operation in operations(document):
        assert path.startswith("/")
        assert method in METHODS
        for code, response in responses(document, operation):
            assert re.fullmatch(r"[1-5]\d\d", code)
            assert response["description"]
        declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = [node["$ref"] for node in walk(document) if isinstance(node.get("$ref"), str)]

    assert references
    for reference in references:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step.replace("~1", "/").replace("~0", "~")]


@pytest.mark.slow
def test_every_schema_is_a_valid_schema(document: dict[str, Any]) -> None:
    schemas = [
        *document["components"]["schemas"].values(),
        *(c.get("schema") or c["itemSchema"] for c in contents(document)),
    ]

    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    assert all(o.get("summary") and o["tags"] for _, _, o in operations(document))
    assert all(o.get("description") for _, _, o in operations(document))


def test_a_gap_is_said_to_be_unusual_only_where_training_had_none(document: dict[str, Any]) -> None:
    texts = [" ".join(text.split()) for node in walk(document) if isinstance(text := node.get("description"), str)]
    unusual = {text for text in texts if "outside the training range" in text}

    assert len(unusual) >= 2  # of a warning, and of `out_of_range`
    assert {text for text in unusual if "in a column that had no gaps in training" not in text} == set()


def test_real_answer_fits_the_described_shape(steady: TestClient, document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/PredictAnswer", "components": document["components"]}

    answer = steady.post("/predict/means", json={"instances": [[0.5, 2]]}).json()

    assert answer["warnings"]
    jsonschema.Draft202012Validator(schema).validate(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/models/means",
        "/models/means/versions",
        "/models/means/versions/1",
        "/datasets",
        "/train",
        "/health",
        "/readyz",
    ],
)
def test_what_is_shown_fits_the_described_shape(steady: TestClient, document: dict[str, Any], path: str) -> None:
    template = re.sub("means", "{model}", re.sub(r"\d", "{version}", path))
    described = document["paths"][template]["get"]["responses"]["200"]["content"]["application/json"]["schema"]

    schema = {**described, "components": document["components"]}

    jsonschema.Draft202012Validator(schema).validate(steady.get(path).json())


@pytest.mark.parametrize(
    ("model", "features"), [("means", ["left", "right"]), ("thirds", ["x", "y", "z"])], ids=["means", "thirds"]
)
def test_each_model_has_a_path_with_its_own_features_and_ranges(
    document: dict[str, Any], model: str, features: list[str]
) -> None:
    content = document["paths"][f"/predict/{model}"]["post"]["requestBody"]["content"]["application/json"]

    array, named = content["schema"]["properties"]["instances"]["items"]["oneOf"]

    assert [column["title"] for column in array["prefixItems"]] == features
    assert (array["minItems"], array["maxItems"]) == (len(features), len(features))
    assert (list(named["properties"]), named["required"]) == (features, features)
    assert named["properties"][features[0]]["description"].startswith("training range 0 to 1 cm")


@pytest.mark.slow
def test_a_model_is_described_with_the_options_that_it_can_answer(
    client: TestClient, repository: ModelRepository
) -> None:
    scores = Conformal(score="lac", rows=1, source="split", guarantee="marginal", scores=(0.5,))
    publish(repository, "scored", conformal=scores)

    def options(name: str) -> dict[str, Any]:
        """Return what a request may say beside its rows."""
        body = client.get("/openapi.json").json()["paths"][f"/predict/{name}"]["post"]["requestBody"]
        found: dict[str, Any] = body["content"]["application/json"]["schema"]["properties"]
        return found

    until(lambda: "/predict/scored" in client.get("/openapi.json").json()["paths"], "the new model is described")
    assert set(options("means")) == {"instances", "version", "ids", "abstain"}
    assert set(options("scored")) == {"instances", "version", "ids", "abstain", "confidence"}
    abstain = [options(name)["abstain"]["oneOf"][1]["properties"] for name in ("means", "scored")]
    assert ["confidence" in one for one in abstain] == [False, True]


def test_file_of_a_data_set_may_have_any_content_type(document: dict[str, Any]) -> None:
    content = document["paths"]["/datasets/{name}"]["put"]["requestBody"]["content"]

    assert content.keys() == {"*/*", "text/csv"}
    assert content["text/csv"]["examples"]


@pytest.mark.parametrize("path", ["/predict/means", "/predict/thirds", "/predict/{model}"])
def test_each_example_fits_its_schema_and_works_when_sent(
    steady: TestClient, document: dict[str, Any], path: str
) -> None:
    content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    validator = jsonschema.Draft202012Validator(content["schema"])

    assert len(content["examples"]) == 2
    for name, example in content["examples"].items():
        validator.validate(example["value"])
        answer = steady.post(path.replace("{model}", name), json=example["value"])
        assert answer.status_code == 200, answer.text


def test_schema_of_a_model_refuses_what_the_model_refuses(document: dict[str, Any]) -> None:
    content = document["paths"]["/predict/means"]["post"]["requestBody"]["content"]["application/json"]
    validator = jsonschema.Draft202012Validator(content["schema"])

    for row in ([1], [1, 2, 3], [1, "2"], {"left": 1}, {"left": 1, "right": 2, "more": 3}, 5, None):
        assert not validator.is_valid({"instances": [row]})
    assert not validator.is_valid({"instances": []})
    assert not validator.is_valid({"instances": [[1, 2]], "other": 1})


@pytest.mark.parametrize(
    "path",
    ["/predict/means?layuot=columns", "/train?limt=5", "/models/means/versions?befor=3", "/predict?on_eror=skip"],
)
def test_a_misspelt_query_parameter_is_refused(steady: TestClient, path: str) -> None:
    ask = steady.post if path.startswith("/predict") else steady.get

    answer = ask(path, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["feature"] == re.findall(r"\?(\w+)", path)[0]


@pytest.mark.slow
def test_newly_published_model_appears_and_a_removed_feature_set_goes(
    client: TestClient, repository: ModelRepository
) -> None:
    assert "/predict/later" not in client.get("/openapi.json").json()["paths"]

    publish(repository, "later", features=("width",))

    until(lambda: "/predict/later" in client.get("/openapi.json").json()["paths"], "the new model is described")


def test_names_that_a_route_would_hide_are_reserved(document: dict[str, Any]) -> None:
    """Every path with a fixed part where another has the name of a model."""
    paths = [path.split("/") for path in document["paths"]]
    hidden = {
        fixed[place]
        for named in paths
        for place, part in enumerate(named)
        if part == "{model}"
        for fixed in paths
        if fixed[:place] == named[:place] and len(fixed) == len(named) and "{" not in fixed[place]
    }

    assert hidden - {"means", "thirds"} == RESERVED
