"""JSON answers end with a line feed, and are indented on request."""

from __future__ import annotations

import json

from starlette.testclient import TestClient


def test_answers_and_errors_end_with_a_line_feed(client: TestClient) -> None:
    for path in ("/models", "/models/means/versions", "/health", "/train", "/models/nothing", "/nothing"):
        answer = client.get(path)
        assert answer.content.endswith(b"}\n"), path
        assert int(answer.headers["content-length"]) == len(answer.content)
    posted = client.post("/models/means/versions/1/activate")
    assert posted.content.endswith(b"}\n")


def test_predictions_and_the_protocol_keep_their_bytes(client: TestClient) -> None:
    body = {"instances": [[0.5, 0.5]]}

    assert client.post("/predict/means", json=body).content.endswith(b"}")
    assert client.post("/predict/means/versions/1", json=body).content.endswith(b"}")
    assert client.get("/v2/models/means").content.endswith(b"}")
    assert client.get("/livez").status_code == 200


def test_pretty_indents_what_it_is_added_to(client: TestClient) -> None:
    plain, pretty = (
        client.get("/models/means/versions?limit=1"),
        client.get("/models/means/versions?limit=1&pretty=true"),
    )

    assert json.loads(pretty.content) == json.loads(plain.content)
    assert pretty.content.startswith(b'{\n  "model": "means",\n')
    assert client.get("/models?pretty=false").content == client.get("/models").content
    assert client.get("/docs?pretty=true").status_code == 200
    wrong, twice = client.get("/models?pretty=yes"), client.get("/models?pretty=true&pretty=true")
    assert (wrong.status_code, wrong.json()["errors"][0]["feature"]) == (422, "pretty")
    assert (twice.status_code, twice.json()["errors"][0]["feature"]) == (422, "pretty")
