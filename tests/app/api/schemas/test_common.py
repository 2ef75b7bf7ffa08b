"""Schemas that the routes share say what the service takes, and no more."""

from __future__ import annotations

from typing import Any

from tests.app.openapi import operations, responses


def test_queries_never_say_null(document: dict[str, Any]) -> None:
    queries = [p for _, _, o in operations(document) for p in o.get("parameters", ()) if p["in"] == "query"]

    assert len(queries) >= 15
    assert not any(kind == {"type": "null"} for query in queries for kind in query["schema"].get("anyOf", ()))


def test_links_lead_to_operations(document: dict[str, Any]) -> None:
    identifiers = {operation["operationId"] for _, _, operation in operations(document)}
    links = [
        link
        for _, _, operation in operations(document)
        for _, response in responses(document, operation)
        for link in response.get("links", {}).values()
    ]

    assert len(links) == 4 * 4 + 2 * 2
    assert {link["operationId"] for link in links} <= identifiers


def test_routes_that_read_headers_say_which(document: dict[str, Any]) -> None:
    def headers(path: str, method: str) -> set[str]:
        parameters = document["paths"][path][method].get("parameters", ())
        return {parameter["name"] for parameter in parameters if parameter["in"] == "header"}

    assert headers("/train", "post") == {"Prefer", "Idempotency-Key"}
    assert headers("/train/{job_id}/retry", "post") == {"Prefer"}
    assert headers("/train/{job_id}/events", "get") == {"Last-Event-ID"}


def test_what_is_no_json_is_described_as_what_it_is(document: dict[str, Any]) -> None:
    put = document["paths"]["/datasets/{name}"]["put"]
    events = document["paths"]["/train/{job_id}/events"]["get"]

    assert list(put["requestBody"]["content"]) == ["*/*", "text/csv"]
    assert list(events["responses"]["200"]["content"]) == ["text/event-stream"]
    for path, method in (("/datasets/{name}", "delete"), ("/models/{model}/versions/{version}", "delete")):
        assert "content" not in document["paths"][path][method]["responses"]["204"]
