"""The page of the API's document: open to all, its own files alone, no inline script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.api.openapi.page import POLICY
from app.main import create_app
from app.security.keys import KeyFile, Scope
from app.settings import Settings

TYPES = {
    "page.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


def test_page_names_files_by_relative_addresses_that_exist(steady: TestClient) -> None:
    page = steady.get("/docs")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert sorted(addresses) == sorted([*(f"docs/{name}" for name in TYPES), "openapi.json"])
    for address in addresses:
        found = steady.get("/" + address)
        assert (found.status_code, len(found.content) > 500) == (200, True), address


def test_page_has_no_inline_script_and_its_policy_permits_none(steady: TestClient) -> None:
    page = steady.get("/docs")

    assert not re.search(r"<script(?![^>]*src=)|\son\w+=", page.text)
    assert page.headers["content-security-policy"] == POLICY
    assert re.search("script-src 'self';", POLICY)


def test_script_of_the_page_imports_a_file_of_the_console_that_exists(steady: TestClient) -> None:
    (imported,) = re.findall(r'from "\.\.(/[^"]+)"', steady.get("/docs/page.js").text)

    assert steady.get(imported).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(("asset", "content_type"), TYPES.items())
def test_assets_are_of_the_type_that_browsers_want(steady: TestClient, asset: str, content_type: str) -> None:
    answer = steady.get(f"/docs/{asset}")

    assert answer.headers["content-type"].partition(";")[0] == content_type
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("asset", ["none.js", "page.html", "..%2fpage.py", "__init__.py"])
def test_what_is_no_file_of_the_page_is_not_found(steady: TestClient, asset: str) -> None:
    assert steady.get(f"/docs/{asset}").status_code == 404


@pytest.mark.slow
def test_with_keys_the_page_opens_without_one_and_the_document_does_not(settings: Settings, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    key = keys.create(frozenset({Scope.PREDICT}), None, "reader")
    with TestClient(create_app(settings.model_copy(update={"keys_file": keys.path}))) as client:
        statuses = [client.get(path).status_code for path in ("/docs", "/docs/page.js", "/openapi.json")]
        document = client.get("/openapi.json", headers={"authorization": f"Bearer {key}"})

    assert statuses == [200, 200, 401]
    assert document.json()["components"]["securitySchemes"].keys() == {"key"}, "the name that page.js gives the key for"
