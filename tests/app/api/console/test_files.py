"""The console's files: what a browser gets, what others get, what the files may not hold."""

from __future__ import annotations

import re
from importlib import resources

import pytest
from starlette.testclient import TestClient

from app.api.console.files import POLICY, read_files

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
MOST_BYTES = 200 << 10
TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "html": "text/html"}
NAMES = sorted(file.name for file in (resources.files("app.api.console") / "static").iterdir())


def test_browser_gets_the_page_and_others_get_links(steady: TestClient) -> None:
    page = steady.get("/", headers=BROWSER)
    links = steady.get("/")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (page.headers["vary"], links.headers["vary"]) == ("accept", "accept")
    assert page.headers["content-security-policy"] == POLICY
    assert links.json()["name"] == "Tabserve"
    found = {name: steady.get(link).status_code for name, link in links.json()["links"].items()}
    assert found == dict.fromkeys(("models", "datasets", "train", "health", "metrics", "docs", "openapi.json"), 200)


def test_page_names_files_by_relative_addresses_that_exist(steady: TestClient) -> None:
    page = steady.get("/", headers=BROWSER).text
    found = re.findall(r'(?:href|src)="([^"#][^"]*)"', page)

    assert {"console/main.js", "console/console.css"} <= set(found)
    assert [address for address in found if steady.get(f"/{address}").status_code != 200] == []
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", page), "no inline code"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "index.html"])
def test_file_has_its_type_and_is_kept_as_long_as_it_is_the_same(name: str, steady: TestClient) -> None:
    first = steady.get(f"/console/{name}")
    again = steady.get(f"/console/{name}", headers={"if-none-match": first.headers["etag"]})

    assert first.headers["content-type"].partition(";")[0] == TYPES[name.rpartition(".")[2]]
    assert (first.headers["cache-control"], first.headers["x-content-type-options"]) == ("no-cache", "nosniff")
    assert first.headers["content-security-policy"] == POLICY
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["none.js", "index.html", "..%2ffiles.py", "__init__.py"])
def test_what_is_no_file_of_the_console_is_not_found(name: str, steady: TestClient) -> None:
    assert steady.get(f"/console/{name}").status_code == 404


def test_modules_import_only_files_that_exist() -> None:
    files = read_files()
    imported = {
        name
        for file in files.values()
        for name in re.findall(r'from "\./([^"]+)"', file.content.decode())
        if file.media_type == "text/javascript"
    }

    assert len(imported) > 5
    assert imported <= files.keys()


def test_text_never_becomes_markup_or_code_and_nothing_comes_from_elsewhere() -> None:
    unsafe = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\(.style"
        r"|localStorage|sessionStorage|document\.cookie|https?://(?!www\.w3\.org/2000/svg)|@import|url\("
    )

    assert {n: unsafe.findall(f.content.decode()) for n, f in read_files().items()} == {n: [] for n in NAMES}


def test_all_files_together_are_small() -> None:
    assert sum(len(file.content) for file in read_files().values()) <= MOST_BYTES
