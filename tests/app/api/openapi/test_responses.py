"""Every operation declares the errors that may come before its route is asked."""

from __future__ import annotations

from typing import Any

import jsonschema
from starlette.testclient import TestClient

from tests.app.openapi import operations, responses


def test_every_error_is_described_as_problem_details(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for code, response in responses(document, operation):
            if code.startswith(("4", "5")) and path != "/readyz" and not path.startswith("/v2"):  # has its own errors
                assert list(response["content"]) == ["application/problem+json"], (method, path, code)


def test_real_errors_fit_the_described_shape(steady: TestClient, document: dict[str, Any]) -> None:
    validator = jsonschema.Draft202012Validator(document["components"]["schemas"]["Problem"])

    validator.validate(steady.get("/nowhere").json())
    validator.validate(steady.post("/predict/means", json={"instances": [[1, "2"]]}).json())


def test_every_operation_says_what_it_may_answer_before_it_is_asked(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        is_open = path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
        expected = {"400", "408", "413", "431", "500", "504"} | (set() if path.startswith("/v2") else {"422"})
        expected |= set() if is_open else {"401", "403", "415", "421", "429", "503"}
        assert expected <= set(operation["responses"]), (method, path)
