"""Write a card as an HTML page without scripts; all texts are escaped, its size is bounded.

It must not know what the sections say.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from app.cards.blocks import Block, Command, Listing, Paragraph, Pictures, Section, Table

MAX_BYTES = 300_000


class Room(NamedTuple):
    """How much a page shows: rows of a table or lines of a list, and characters of a text."""

    rows: int
    characters: int


ROOMS = (Room(200, 2000), Room(50, 500), Room(15, 250), Room(5, 100))  # less if the page would be too large
COMMAND_ROOM = 20  # a command may be so many times as long as a text

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;"
    "background:#fff}table{border-collapse:collapse;margin:.5rem 0;display:block;overflow-x:auto}"
    "td,th{border:1px solid #767676;padding:.2rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "th{background:#eee}pre{background:#eee;padding:.6rem;overflow-x:auto}img{max-width:100%}"
)
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of the page: its own style and pictures of the same service, and nothing else."""


def write_page(title: str, sections: Sequence[Section]) -> bytes:
    """Return the page in UTF-8, at most 300,000 bytes; what is shortened says by how much."""
    for room in ROOMS:
        page = _page(title, sections, room).encode(errors="replace")
        if len(page) <= MAX_BYTES:
            break
    return page


def _page(title: str, sections: Iterable[Section], room: Room) -> str:
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}: model card</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>",
        f"<h1>Model card of {escape(title)}</h1>",
    ]
    for section in sections:
        parts.append(f"<section>\n<h2>{escape(section.title)}</h2>")
        parts += [_block(block, room) for block in section.blocks]
        parts.append("</section>")
    return "\n".join([*parts, "</main>\n</body>\n</html>\n"])


def _block(block: Block, room: Room) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{_text(text, room)}</p>"
        case Listing(items):
            listed = "".join(f"<li>{_text(item, room)}</li>" for item in items[: room.rows])
            return f"<ul>{listed}</ul>{_rest(items, room)}"
        case Command(text):
            fits = len(text) <= COMMAND_ROOM * room.characters
            return f"<pre>{escape(text)}</pre>" if fits else "<p>The Markdown of this card has the request.</p>"
        case Pictures(files):
            shown = (f'<p><img src="plots/{escape(file)}" alt="{escape(file)}" loading="lazy"></p>' for file in files)
            return "\n".join(shown)
        case Table():
            return _table(block, room)


def _table(table: Table, room: Room) -> str:
    head = "".join(f'<th scope="col">{_text(name, room)}</th>' for name in table.headings[: room.rows])
    rows = ("".join(f"<td>{_text(cell, room)}</td>" for cell in row[: room.rows]) for row in table.rows[: room.rows])
    body = "".join(f"<tr>{row}</tr>\n" for row in rows)
    shown = f"<thead><tr>{head}</tr></thead>\n" if any(table.headings) else ""
    return f"<table>\n{shown}<tbody>\n{body}</tbody>\n</table>{_rest(table.rows, room)}"


def _rest(all_of_them: Sequence[object], room: Room) -> str:
    more = len(all_of_them) - room.rows
    return f"<p>{more} more are not shown; the Markdown of this card has them.</p>" if more > 0 else ""


def _text(text: str, room: Room) -> str:
    return escape(text if len(text) <= room.characters else f"{text[: room.characters]}...")
