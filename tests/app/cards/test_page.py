"""The HTML page: nothing in it runs, all markup is ours, and its size is bounded."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from app.cards.page import MAX_BYTES, POLICY, write_page
from app.cards.sections import sections_of
from modelstore import CategoricalFeature, LeftOut
from tests.app.cards.samples import ATTACK, attacked, whole

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "section", "h2", "p", "ul", "li"),
    *("table", "thead", "tbody", "tr", "th", "td", "pre", "img"),
}


class Reader(HTMLParser):
    """Collects tags, attributes and texts of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_names_with_markup_are_texts() -> None:
    facts = attacked()
    page = write_page(facts.title, sections_of(facts))

    read = Reader(page)
    assert read.tags <= TAGS
    assert read.attributes <= {"lang", "charset", "name", "content", "scope", "src", "alt", "loading"}
    assert b"<script" not in page.lower()
    assert sum(ATTACK in text for text in read.texts) > 10  # they are there, as texts


def test_page_shows_pictures_of_the_same_service_and_its_policy_allows_nothing_else() -> None:
    facts = whole()

    assert b'<img src="plots/loss.png" alt="loss.png"' in write_page(facts.title, sections_of(facts))
    assert "default-src 'none'" in POLICY
    assert "script" not in POLICY
    assert "unsafe" not in POLICY


def test_page_of_a_huge_table_stays_below_its_limit_and_says_what_is_not_shown() -> None:
    facts = whole()
    names = ["&" * 190 + str(n) for n in range(10_000)]
    manifest = facts.manifest.model_copy(
        update={
            "features": tuple(CategoricalFeature(name=name, categories=dict.fromkeys(names[:9], 9)) for name in names),
            "left_out": tuple(LeftOut(name=name, reason="id", detail=name * 9) for name in names),
            "classes": tuple(names[:100]),
            "warnings": tuple(name * 5 for name in names[:20]),
            "decision": None,
        }
    )
    facts = replace(facts, manifest=manifest)

    page = write_page(facts.title, sections_of(facts))

    assert len(page) <= MAX_BYTES
    assert re.search(rb"<p>99\d\d more are not shown", page)
