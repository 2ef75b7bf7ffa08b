"""Collect the faults of one data file."""

from __future__ import annotations

from modelstore import DatasetFault

MAX_FAULTS = 10


class Faults:
    """The faults of one file in the order found; readers stop after ten."""

    def __init__(self) -> None:
        self._found: list[DatasetFault] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Return whether the limit of ten faults is reached."""
        return len(self._found) >= MAX_FAULTS

    def add(self, problem: str, *, line: int | None = None, column: str | None = None) -> None:
        """Record a fault, unless the limit is reached."""
        if not self.full:
            self._found.append(DatasetFault(line=line, column=column, problem=problem))

    def sorted(self) -> tuple[DatasetFault, ...]:
        """Return the faults sorted by line; those of the whole file come first."""
        return tuple(sorted(self._found, key=lambda fault: fault.line or 0))


def describe_ragged(cells: list[str], expected: int, line: str = "") -> str:
    """Describe the fault of a row that has more or fewer cells than the header."""
    problem = f"expected {expected} cells as in the header, got {len(cells)}"
    if line[:1] in ("#", "%", "/"):
        return f"{problem}; is the line a comment? comment={line[0]} leaves such lines out"
    if len(cells) > expected:
        return f"{problem}; a cell with a comma needs quotes, a number needs a decimal point"
    if len(cells) == 1 and any(map(str.isalpha, cells[0])):
        problem += "; is it no row? skip_rows leaves out lines at the top, skip_footer at the end"
    return problem
