"""The parts of a card in any format: sections of paragraphs, lists, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Listing:
    """Sentences, one a line."""

    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """Rows of cells below their headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Command:
    """A command to copy."""

    text: str


@dataclass(frozen=True)
class Pictures:
    """PNG files of the version, by name."""

    files: Sequence[str]


Block = Paragraph | Listing | Table | Command | Pictures


@dataclass(frozen=True)
class Section:
    """A part of a card."""

    title: str
    blocks: Sequence[Block]
