"""What all readers of tables agree on, of trainings and of predictions alike; it must not know any format of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

BLANKS = " \t"
"""A line of nothing else is blank, and passed over."""


def column_name(text: str) -> str:
    """Return the name of a column as it is compared and kept: without blanks around it, composed (Unicode's NFC)."""
    return unicodedata.normalize("NFC", text.strip())


def repeated(names: Iterable[str]) -> dict[str, list[int]]:
    """Return each name that there is more than once, with its positions, from 1."""
    places: dict[str, list[int]] = {}
    for position, name in enumerate(names, start=1):
        places.setdefault(name, []).append(position)
    return {name: found for name, found in places.items() if len(found) > 1}
