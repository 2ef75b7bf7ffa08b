"""Recognise lines of names among the rows of a file, as reports have above each section.

It must not know files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from training.data.layout import Layout, Row

OTHERS = 0.2  # share of the filled cells in which a line of names may differ from the one below the header, or one cell


class NamesAgain:
    """Recognises the header, and the lines directly below it that are no rows, where they occur again.

    A line that differs from one below the header in a few cells, such as the title of a section, is one too if a cell
    of it is its column's own name, which has letters.

    Args:
        header: cells of the header; empty if the file has none.
        below: cells of each line below it that is no row.
        lines: these lines, the header first, as they lie in the file without their line ends.
    """

    def __init__(
        self, header: Sequence[str] = (), below: Sequence[Sequence[str]] = (), lines: Sequence[bytes] = ()
    ) -> None:
        self._header = list(header)
        self._below = list(map(list, below))
        self._names = {
            place: name
            for cells in self._below
            for place, (name, cell) in enumerate(zip(header, cells, strict=False))
            if name == cell and any(map(str.isalpha, name))
        }
        self._marks = [line for line in lines if line and len(header) > 1]
        self._marks += [name.encode() for name in self._names.values()]

    @classmethod
    def of(cls, layout: Layout, rows: Sequence[Row], lines: Sequence[str], first_line: int) -> Self:
        """Return what recognises the header, and the lines below it that are no rows.

        Args:
            layout: of a file with a header.
            rows: first rows of the file.
            lines: the lines that hold them.
            first_line: number of the first of these lines.
        """
        named = [row for row in rows if layout.line <= row[1] and row[2] <= layout.consumed]
        texts = ["".join(lines[line - first_line : end]).strip("\r\n").encode() for _, line, end in named]
        header, *below = (cells for cells, _, _ in named)
        return cls(header, below, texts)

    def may_be_in(self, text: bytes) -> bool:
        """Return whether lines may hold one, judged by their bytes alone."""
        return any(mark in text for mark in self._marks)

    def is_one(self, cells: list[str]) -> bool:
        """Return whether the cells of a row are names."""
        if len(self._header) < 2:
            return False
        if cells == self._header or cells in self._below:
            return True
        if not any(cells[place : place + 1] == [name] for place, name in self._names.items()):
            return False
        filled = [(cell, place) for place, cell in enumerate(cells) if cell]
        most = max(1, int(OTHERS * len(filled)))
        return any(1 < len(filled) - _others(filled, below) >= len(filled) - most for below in self._below)


def _others(filled: Sequence[tuple[str, int]], below: Sequence[str]) -> int:
    """Return how many cells are not those of a line at the same places."""
    return sum(cell not in below[place : place + 1] for cell, place in filled)
