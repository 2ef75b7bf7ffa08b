"""What all readers of tables agree on, of trainings and of predictions alike; it must not know any format of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_COLUMNS = 10_000
"""Of a table, the target among them; a training may name as many."""

MAX_NAME_CHARACTERS = 200
"""Of a column or a class."""

BLANKS = " \t"
"""A line of nothing else is blank, and passed over."""

SAME_NAME = "blanks around a name and the way its accents are coded make no difference"
"""What to say where two names are the same."""

LINE_ENDS_LOST = "`curl -d` takes the line ends out of a file; send it with --data-binary"
"""What to say where several rows came as one line."""


def column_name(text: str) -> str:
    """Return the name of a column as it is compared and kept: without blanks around it, composed (Unicode's NFC)."""
    name = text.strip()
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def repeated(names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return each name that there is more than once, with its first two positions, from 1."""
    found: dict[str, tuple[int, int]] = {}
    if len(set(names)) == len(names):
        return found
    earlier: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if (first := earlier.setdefault(name, position)) != position:
            found.setdefault(name, (first, position))
    return found
