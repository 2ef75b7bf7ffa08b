"""Rules that all table readers share, for training and prediction, whatever the format."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

MAX_COLUMNS = 10_000
"""Of a table, the target among them; a training may name as many."""

MAX_NAME_CHARACTERS = 200
"""Of a column or a class."""

BLANKS = " \t"
"""A line of only these characters is blank, and skipped."""

SAME_NAME = "blanks around a name and the way its accents are coded make no difference"
"""Message if two names are the same."""

LINE_ENDS_LOST = "`curl -d` takes the line ends out of a file; send it with --data-binary"
"""Message if several rows arrived as one line."""


CP1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
"""The character of each byte; the five without one become control characters, as in browsers."""


def column_name(text: str) -> str:
    """Normalise a column name: strip surrounding blanks and compose it (Unicode NFC)."""
    name = text.strip()
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def find_repeated(names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return each name that occurs more than once, with its first two positions, counted from 1."""
    found: dict[str, tuple[int, int]] = {}
    if len(set(names)) == len(names):
        return found
    earlier: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if (first := earlier.setdefault(name, position)) != position:
            found.setdefault(name, (first, position))
    return found
