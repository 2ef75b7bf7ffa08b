"""The page of an error: the problem details, escaped, with links that hold at any depth."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest
from starlette.testclient import TestClient

from app.api.error_page import POLICY, render_page

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
DETAILS = {"status": 404, "title": "Not Found", "detail": "there is no <such> route", "request_id": "r1", "errors": []}


@pytest.mark.parametrize("path", ["/none", "/models/none", "/models/none/versions/1", "/train/none"])
def test_browser_gets_a_page_with_the_same_words(path: str, steady: TestClient) -> None:
    page = steady.get(path, headers=BROWSER)
    problem = steady.get(path)

    assert page.status_code == problem.status_code
    assert problem.headers["content-type"] == "application/problem+json"
    assert (page.headers["content-type"], page.headers["content-security-policy"]) == (
        "text/html; charset=utf-8",
        POLICY,
    )
    assert problem.json()["detail"] in page.text
    assert page.headers["x-request-id"] in page.text
    addresses = [urljoin(path, found) for found in re.findall(r'href="([^"]+)"', page.text)]
    assert addresses == ["/console/console.css", "/"]


def test_page_lists_each_problem_with_its_place(steady: TestClient) -> None:
    page = steady.post("/predict/means", json={"instances": [[0.5]]}, headers=BROWSER)

    assert page.status_code == 422
    [problem] = steady.post("/predict/means", json={"instances": [[0.5]]}).json()["errors"]
    assert f"<li>row 0: {problem['problem']}</li>" in page.text


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/problem+json, text/html", "text/*;q=0.1,*/*"]
)
def test_other_clients_get_problem_details(accept: str, steady: TestClient) -> None:
    problem = steady.get("/none", headers={"accept": accept})

    assert problem.headers["content-type"] == "application/problem+json"


def test_text_is_escaped() -> None:
    errors = [{"row": None, "feature": "<b>", "problem": "& more"}]
    page = render_page({**DETAILS, "errors": errors}, "/a/b").decode()

    assert "there is no &lt;such&gt; route" in page
    assert "<li>&lt;b&gt;: &amp; more</li>" in page
