"""The rules over REST against a server that keeps them, and against one that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tabserve.conformance.rest import RestRules
from tabserve.conformance.rules import check_all
from tabserve.errors import ServiceUnreachable

Handler = Callable[[httpx.Request], httpx.Response]
TENSOR = {"datatype": "FP32", "shape": [-1, 2]}
METADATA = {
    "name": "sums",
    "versions": ["1"],
    "platform": "fake",
    "inputs": [TENSOR | {"name": "x"}],
    "outputs": [TENSOR | {"name": "same"}, {"name": "count", "datatype": "INT64", "shape": [-1]}],
}


def error(status: int, said: str = "wrong") -> httpx.Response:
    return httpx.Response(status, json={"error": said})


def infer(request: httpx.Request) -> httpx.Response:
    """Answer with the input itself and its number of values."""
    try:
        asked = json.loads(request.content)
        (tensor,) = asked["inputs"]
    except (ValueError, KeyError):
        return error(400)
    data = [each for row in tensor["data"] for each in (row if isinstance(row, list) else [row])]
    if tensor["datatype"] != "FP32" or len(data) != tensor["shape"][0] * tensor["shape"][1]:
        return error(400)
    same = {"name": "same", "datatype": "FP32", "shape": tensor["shape"], "data": data}
    known = {"same": same, "count": {"name": "count", "datatype": "INT64", "shape": [1], "data": [len(data)]}}
    wanted = [each["name"] for each in asked.get("outputs", [])] or list(known)
    if not set(wanted) <= known.keys():
        return error(400)
    told = {"id": asked["id"]} if "id" in asked else {}
    outputs = [known[name] for name in wanted]
    return httpx.Response(200, json={"model_name": "sums", "model_version": "1", **told, "outputs": outputs})


def conforming(request: httpx.Request) -> httpx.Response:
    path = request.url.path
    if path == "/v2":
        return httpx.Response(200, json={"name": "fake", "version": "0", "extensions": []})
    if path in ("/v2/health/live", "/v2/health/ready", "/v2/models/sums/ready", "/v2/models/sums/versions/1/ready"):
        return httpx.Response(200)
    if path in ("/v2/models/sums", "/v2/models/sums/versions/1"):
        return httpx.Response(200, json=METADATA)
    if path in ("/v2/models/sums/infer", "/v2/models/sums/versions/1/infer"):
        return infer(request)
    return error(404)


def skipped_by(answer: object) -> dict[str, str]:
    """Return the rules that cannot be checked with a server that always answers this."""
    return broken_by(lambda _: httpx.Response(200, json=answer), outcome="skipped")


def broken_by(handler: Handler, outcome: str = "broken", **options: Any) -> dict[str, str]:
    """Return the rules that a server breaks, each with how."""
    with httpx.Client(base_url="http://fake", transport=httpx.MockTransport(handler)) as client:
        rules = RestRules(client, "sums", **options).rules()
        return {each.name: each.detail for each in check_all(rules) if each.outcome == outcome}


def test_server_that_keeps_all_rules_breaks_none() -> None:
    assert broken_by(conforming) == {}
    given = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [3, 4]}]}
    assert broken_by(conforming, request=given) == {}


def changed(**changes: object) -> Handler:
    """Return a server with other metadata of the model."""

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/models/sums":
            return httpx.Response(200, json=METADATA | changes)
        return conforming(request)

    return handler


def answering(change: Callable[[dict[str, Any]], None]) -> Handler:
    """Return a server whose answers to inference requests are changed."""

    def handler(request: httpx.Request) -> httpx.Response:
        response = conforming(request)
        if not request.url.path.endswith("/infer") or response.status_code != 200:
            return response
        document = response.json()
        change(document)
        return httpx.Response(200, json=document)

    return handler


def at(path: str, response: httpx.Response) -> Handler:
    return lambda request: response if request.url.path == path else conforming(request)


@pytest.mark.parametrize(
    ("handler", "rules"),
    [
        (at("/v2/health/live", error(500)), {"server live"}),
        (at("/v2/health/ready", error(503)), {"server ready"}),
        (at("/v2", httpx.Response(200, json={"name": "fake", "version": 1, "extensions": []})), {"server metadata"}),
        (at("/v2", httpx.Response(200, text="{}")), {"server metadata"}),
        (at("/v2/models/sums/ready", error(404)), {"model ready"}),
        (at("/v2/models/sums/versions/1/ready", error(404)), {"version ready"}),
        (at("/v2/models/conformance-no-such-model/ready", httpx.Response(200)), {"unknown model not ready"}),
        (changed(platform=None), {"model metadata"}),
        (changed(name="other"), {"model metadata"}),
        (changed(outputs=[{"name": "x"}]), {"model metadata"}),
        (at("/v2/models/sums/versions/1", error(404)), {"version metadata"}),
        (
            at("/v2/models/conformance-no-such-model", httpx.Response(404, json={"detail": "no"})),
            {"unknown model has no metadata"},
        ),
        (at("/v2/models/conformance-no-such-model/infer", error(500)), {"unknown model"}),
        (answering(lambda document: document.update(model_name="x")), {"inference"}),
        (answering(lambda document: document["outputs"][0].update(shape=[7])), {"inference"}),
        (answering(lambda document: document.update(id="x")), {"id"}),
        (answering(lambda document: document.update(model_version="9")), {"version named"}),
    ],
)
def test_server_that_breaks_a_rule_is_found_by_that_rule(handler: Handler, rules: set[str]) -> None:
    assert broken_by(handler).keys() == rules


@pytest.mark.parametrize(
    "answer",
    [
        METADATA | {"versions": 7, "inputs": [7]},
        METADATA | {"versions": ["\x1b[2J"], "inputs": {"a": 3}, "outputs": 7},
        METADATA | {"inputs": [{"name": "x", "datatype": ["FP32"], "shape": "ab"}], "outputs": [{"x": 7}]},
        METADATA | {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1 << 20, 1 << 20]}]},
        [],
    ],
)
def test_server_that_answers_something_else_breaks_rules_and_nothing_else(answer: object) -> None:
    assert "inference" in {**broken_by(lambda _: httpx.Response(200, json=answer)), **skipped_by(answer)}


def test_answer_that_is_nested_deeply_breaks_rules() -> None:
    deep = httpx.Response(200, content=b"[" * 100_000, headers={"content-type": "application/json"})
    assert "inference" in broken_by(lambda _: deep)


def test_lax_server_breaks_the_rules_about_errors() -> None:
    def lax(request: httpx.Request) -> httpx.Response:
        response = conforming(request)
        if request.url.path != "/v2/models/sums/infer" or response.status_code == 200:
            return response
        return httpx.Response(200, json={"model_name": "sums", "outputs": []})

    found = broken_by(lax)

    assert found.keys() == {
        "malformed JSON",
        "no inputs",
        "shape and data differ",
        "unknown datatype",
        "unknown output",
    }
    assert set(found.values()) == {"status 200 in place of 4xx"}


def test_model_that_describes_nothing_leaves_rules_unchecked() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v2/models/sums":
            return httpx.Response(200, json={"name": "sums", "platform": ""})
        return conforming(request)

    with httpx.Client(base_url="http://fake", transport=httpx.MockTransport(silent)) as client:
        skipped = {f.name: f.detail for f in check_all(RestRules(client, "sums").rules()) if f.outcome == "skipped"}

    assert "name no version" in skipped["version ready"]
    assert "--request" in skipped["inference"]


def test_connection_that_was_closed_is_tried_once_more_and_a_server_that_is_none_is_unreachable() -> None:
    closed: list[str] = []

    def closes_once(request: httpx.Request) -> httpx.Response:
        if request.url.path not in closed:
            closed.append(request.url.path)
            raise httpx.ReadError("reset")
        return conforming(request)

    def always(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset")

    def nobody(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    assert broken_by(closes_once) == {}
    assert broken_by(always)["server live"] == "no answer: reset"
    with pytest.raises(ServiceUnreachable, match="refused"):
        broken_by(nobody)
