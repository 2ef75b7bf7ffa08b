"""A parameter that is given twice is refused by every route, and the error names it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from app.api.query import find_query_model, require_distinct
from app.api.routes.predict import PredictQuery
from app.errors import InvalidInput
from tests.app.problems import assert_problem

TWICE = "is given twice; give it once"
BODY = {"instances": [[0.5, 0.5]]}


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/predict/means?strict=true&layout=rows&strict=false", "strict"),
        ("POST", "/predict/means/versions/1?layout=rows&layout=rows", "layout"),
        ("POST", "/predict?ignore_extra=&ignore_extra", "ignore_extra"),
        ("PUT", "/datasets/x?delimiter=;&%64elimiter=,", "delimiter"),
        ("GET", "/train?limit=5&limit=6", "limit"),
        ("GET", "/models/means/compare?versions=1,2&versions=1,3", "versions"),
        ("GET", "/models?limit=1&limit=2", "limit"),
    ],
)
def test_parameter_that_is_given_twice_is_refused_by_its_name(
    steady: TestClient, method: str, path: str, name: str
) -> None:
    document = assert_problem(steady.request(method, path, json=BODY if method == "POST" else None), 422)

    assert document["errors"] == [{"row": None, "feature": name, "problem": TWICE}]
    assert document["detail"] == f"{name}: {TWICE}; see GET /docs"


def test_inference_refuses_it_in_the_form_of_its_protocol(steady: TestClient) -> None:
    answer = steady.post("/v2/models/means/infer?strict=true&strict=false", json={})

    assert (answer.status_code, answer.json()) == (400, {"error": f"strict: {TWICE}; see GET /docs"})


def test_unknown_name_is_told_by_its_places_and_not_repeated() -> None:
    with pytest.raises(InvalidInput) as refused:
        require_distinct(b"layout=rows&secret&secret=2", {"layout"})

    assert refused.value.problems[0].problem == f"parameter 3 has the name of parameter 2; {TWICE}"
    assert "secret" not in str(refused.value)


def test_parameters_that_differ_pass() -> None:
    require_distinct(b"layout=rows&strict=true&=&a%20b=1", ())


def test_model_of_the_parameters_is_found_by_the_handler() -> None:
    def handler(name: str, options: PredictQuery) -> None: ...

    def other(name: str) -> None: ...

    assert find_query_model(handler) is PredictQuery
    assert find_query_model(other) is None
