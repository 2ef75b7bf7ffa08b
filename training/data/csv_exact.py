"""Parse lines into rows with the `csv` module, each with its line number."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from modelstore.reading import BLANKS
from training.data.dialect import Syntax

_BLANK = BLANKS + "\r\n"


class ExactRows:
    """Iterates over the rows that are not blank, each with the line at which it begins.

    Attributes:
        blank_lines: number of blank lines skipped so far.
        comments: lines of the comments skipped so far.
        consumed: number of input lines consumed so far.
        line: line at which the last row began.
        unclosed: whether the input ended inside the quotes of the last row.
        problem: the fault that ended the iteration, if any.
    """

    def __init__(self, lines: list[str], first_line: int, syntax: Syntax | None = None, comment: str = "") -> None:
        self.blank_lines = 0
        self.comments: list[int] = []
        self.consumed = 0
        self.line = first_line
        self.unclosed = False
        self.problem = ""
        self._first_line = first_line
        self._ended = False
        self._lines = lines
        self._syntax = syntax or Syntax()
        self._comment = comment

    def __iter__(self) -> Iterator[tuple[list[str], int]]:
        syntax = self._syntax
        reader = csv.reader(
            self._feed(), delimiter=syntax.delimiter, quotechar=syntax.quote, skipinitialspace=syntax.spaced
        )
        while True:
            self.line = self._first_line + self.consumed
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                self.problem = f"a cell of more than {csv.field_size_limit()} characters; is a quote not closed?"
                return
            begun, self.consumed = self.consumed, reader.line_num
            self.unclosed = self._ended
            if self._comment and self._lines[begun].startswith(self._comment):
                self.comments.append(self.line)
            elif self.consumed == begun + 1 and not self._lines[begun].strip(_BLANK):
                self.blank_lines += 1
            else:
                yield cells, self.line
            if self.unclosed:
                return

    def _feed(self) -> Iterator[str]:
        for line in self._lines:
            is_comment = self._comment and line.startswith(self._comment)
            yield "\n" if is_comment else line  # a quote in a comment would open a cell
        self._ended = True
