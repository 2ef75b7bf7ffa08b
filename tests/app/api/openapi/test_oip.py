"""What the OpenAPI document says of the Open Inference Protocol is what its routes answer."""

from __future__ import annotations

import jsonschema
import orjson
import pytest
from starlette.testclient import TestClient

from tests.app.oip import INFER, TWO, tensor, whole


@pytest.mark.parametrize(
    "path",
    [
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models",
        "/v2/models/means",
        "/v2/models/means/versions/1",
        "/v2/models/means/ready",
        "/v2/models/stats",
        "/v2/models/means/versions/1/stats",
    ],
)
def test_what_is_shown_fits_the_described_shape(steady: TestClient, path: str) -> None:
    document = steady.get("/openapi.json").json()
    template = path.replace("means", "{model}").replace("/1", "/{version}")
    described = document["paths"][template]["get"]["responses"]

    schema = described["200"]["content"]["application/json"]["schema"]
    full = {**schema, "components": document["components"]}
    jsonschema.Draft202012Validator(full).validate(steady.get(path).json())
    assert "422" not in described


def test_requests_and_answers_fit_the_described_shape(steady: TestClient) -> None:
    described = steady.get("/openapi.json").json()["paths"]["/v2/models/{model}/infer"]["post"]
    request = whole([tensor(TWO)], id="1", outputs=[{"name": "label"}], parameters={"timeout": 10**7})

    answer = steady.post(INFER, content=request)

    for content, document in (
        (described["requestBody"]["content"], request),
        (described["responses"]["200"]["content"], answer.content),
    ):
        jsonschema.Draft202012Validator(content["application/json"]["schema"]).validate(orjson.loads(document))
