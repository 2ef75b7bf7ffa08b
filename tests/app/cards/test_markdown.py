"""The Markdown card: its tables hold, and no text becomes markup."""

from __future__ import annotations

from app.cards.blocks import Command, Listing, Paragraph, Pictures, Section, Table
from app.cards.markdown import write_markdown
from app.cards.sections import sections_of
from tests.app.cards.samples import attacked


def test_blocks_are_written_as_markdown() -> None:
    blocks = (
        Paragraph("a | b\n# c"),
        Listing(("one", "2.5 of <b>")),
        Table(("x", "y"), (("1", "[a](b)"),)),
        Command("curl a"),
        Pictures(("loss.png",)),
    )

    assert write_markdown("m version 1", [Section("All of it", blocks)]).decode() == (
        "# Model card of m version 1\n\n## All of it\n\na \\| b \\# c\n\n* one\n* 2.5 of \\<b\\>\n\n"
        "| x | y |\n|---|---|\n| 1 | \\[a\\]\\(b\\) |\n\n    curl a\n\n![loss.png](plots/loss.png)\n"
    )


def test_names_with_markup_are_texts() -> None:
    facts = attacked()
    lines = write_markdown(facts.title, sections_of(facts)).decode().splitlines()

    assert "\\<script\\>" in "".join(lines)
    assert [line for line in lines if "<script" in line.replace("\\<", "") and not line.startswith("    ")] == []
