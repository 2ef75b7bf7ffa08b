"""Read the parts of an OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def walk(node: object) -> Iterator[dict[str, Any]]:
    """Yield every object in the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def responses(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield status and response of an operation; those that many have in common are referred to."""
    for status, response in operation["responses"].items():
        common = response.get("$ref", "").rpartition("/")[2]
        yield status, document["components"]["responses"][common] if common else response


def contents(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each media type object of requests and responses."""
    for _, _, operation in operations(document):
        yield from operation.get("requestBody", {}).get("content", {}).values()
        for _, response in responses(document, operation):
            yield from response.get("content", {}).values()
