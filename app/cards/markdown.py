"""Write a card as Markdown; no text of it can become markup or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.cards.blocks import Block, Command, Listing, Paragraph, Pictures, Section

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&$])")
_PLAIN = re.compile(r"(?<=[0-9A-Za-z])[.\-_](?=[0-9A-Za-z])|\.(?=\s|$)")  # what is no markup inside words and numbers


def write_markdown(title: str, sections: Iterable[Section]) -> bytes:
    """Return the card in UTF-8."""
    parts = [f"# Model card of {_text(title)}"]
    for section in sections:
        parts += [f"## {_text(section.title)}", *map(_block, section.blocks)]
    return ("\n\n".join(parts) + "\n").encode(errors="replace")


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return _text(text)
        case Listing(items):
            return "\n".join(f"* {_text(item)}" for item in items)
        case Command(text):
            return "\n".join(f"    {line}" for line in text.splitlines())
        case Pictures(files):
            return "\n".join(f"![{_text(file)}](plots/{file})" for file in files)
        case _:
            lines = [block.headings, ["---"] * len(block.headings)]
            written = ["| " + " | ".join(map(_text, lines[0])) + " |", "|" + "|".join(lines[1]) + "|"]
            return "\n".join([*written, *("| " + " | ".join(map(_text, row)) + " |" for row in block.rows)])


def _text(text: str) -> str:
    """Return a text on one line, with a backslash before what could be markup."""
    line = " ".join(text.split())
    plain = {found.start() for found in _PLAIN.finditer(line)}
    return _SPECIAL.sub(lambda found: found[0] if found.start() in plain else f"\\{found[0]}", line)
