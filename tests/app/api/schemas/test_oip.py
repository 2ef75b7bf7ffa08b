"""Answers against the OpenAPI file that the Open Inference Protocol publishes."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml
from starlette.testclient import TestClient

from tests.app.oip import tensor, whole
from tests.processes import PROJECT

PUBLISHED = PROJECT.parent / "shared" / "specs" / "open_inference_rest.yaml"
ABSENT = "the published OpenAPI file of the protocol is not beside this checkout"

pytestmark = pytest.mark.skipif(not PUBLISHED.exists(), reason=ABSENT)


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PUBLISHED.read_text())
    return found


def validate(published: dict[str, Any], name: str, document: Any) -> None:
    """Check a document against a schema of the file."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": published["components"]}
    jsonschema.Draft4Validator(schema).validate(document)  # what OpenAPI 3.0 builds on


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2/", "metadata_server_response"),
        ("/v2", "metadata_server_response"),
        ("/v2/models/means/versions/1", "metadata_model_response"),
        ("/v2/models/means", "metadata_model_response"),
        ("/v2/models/nobody", "metadata_model_error_response"),
        ("/v2/models/means/versions/x", "metadata_model_error_response"),
        ("/v2/nowhere", "metadata_server_error_response"),
    ],
)
def test_metadata_is_as_published(steady: TestClient, published: dict[str, Any], path: str, name: str) -> None:
    validate(published, name, steady.get(path).json())


@pytest.mark.parametrize(
    "fields",
    [{}, {"id": "42"}, {"outputs": [{"name": "label"}]}, {"parameters": {"timeout": 10**6}}],
    ids=["plain", "id", "outputs", "parameters"],
)
@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_published_requests_are_answered_as_published(
    steady: TestClient, published: dict[str, Any], fields: dict[str, Any], nested: bool
) -> None:
    body = whole([tensor([[0.5, 0.25], [0, 1]], nested=nested)], **fields)

    answer = steady.post("/v2/models/means/versions/1/infer", content=body).json()

    validate(published, "inference_response", answer)
    assert answer.get("id") == fields.get("id")


def test_refusal_is_as_published(steady: TestClient, published: dict[str, Any]) -> None:
    answer = steady.post("/v2/models/means/versions/1/infer", content=b"{}")

    assert answer.status_code == 400
    validate(published, "inference_error_response", answer.json())


def test_every_published_route_is_served(steady: TestClient, published: dict[str, Any]) -> None:
    for template, item in published["paths"].items():
        path = template.replace("${MODEL_NAME}", "means").replace("${MODEL_VERSION}", "1")
        for method in {"get", "post"} & item.keys():
            body = whole([tensor([[0.5, 0.25]])]) if method == "post" else None
            answer = steady.request(method, path, content=body, follow_redirects=False)
            assert str(answer.status_code) == next(iter(item[method]["responses"])), path
