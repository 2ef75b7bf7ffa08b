"""The docs as a site: built without warnings, whole, and without a request to another host."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Locator, Page, expect

from tests.app.waiting import until
from tests.console.conftest import Watched, browser, context
from tests.processes import PROJECT

pytestmark = pytest.mark.slow

__all__ = ["browser", "context"]  # fixtures


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # no notice of another product
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Loaded(HTMLParser):
    """Addresses that a browser asks for when it shows a page; links that a person follows are none."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.addresses += [value or "" for name, value in attrs if name in ("src", "srcset", "href", "data")]


def test_every_page_of_the_docs_is_on_the_site(site: Path) -> None:
    written = [PROJECT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")]
    pages = [page.relative_to(PROJECT) for page in (*written, *(PROJECT / "docs").glob("*.md"))]
    index = (site / "index.html").read_text()

    assert [page for page in pages if not (site / page.with_suffix(".html")).exists()] == []
    assert [page for page in pages if f'href="{page.with_suffix(".html")}"' not in index] == []


def test_pages_load_nothing_from_another_host(site: Path) -> None:
    pages = {page.relative_to(site): page.read_text() for page in site.rglob("*.html")}
    loaded = {page: Loaded(text).addresses for page, text in pages.items()}

    assert min(map(len, loaded.values())) > 3
    assert {page: [a for a in found if re.match(r"(\w+:)?//", a)] for page, found in loaded.items()} == {
        page: [] for page in loaded
    }
    styles = "".join(style.read_text() for style in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", styles) == []
    assert [page for page, text in pages.items() if 'class="mermaid"' in text] == [], "its script is on another host"


def typed(page: Page, found: Locator) -> bool:
    """Load the page again, search, and return whether it is found soon: what is typed too early is lost."""
    page.reload()
    box = page.get_by_role("textbox", name="Search")
    box.fill("")
    box.fill("excel workbook")
    with contextlib.suppress(Error):
        found.wait_for(timeout=10_000)
    return found.is_visible()


def test_search_finds_a_page_and_nothing_else_is_asked(address: str, context: BrowserContext) -> None:
    watched = Watched(context.new_page(), address)
    page = watched.page
    for name in ("index.html", "docs/clients.html"):
        page.goto(f"{address}/{name}")
    found = page.locator(".md-search-result a[href*='clients.html#excel']")
    until(lambda: typed(page, found), "the page is found")
    found.click()
    expect(page).to_have_url(re.compile(r"/docs/clients\.html.*#excel$"))

    assert (watched.faults, watched.strange) == ([], [])
