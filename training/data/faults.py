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


def describe_ragged(cells: list[str], expected: int) -> str:
    """Describe the fault of a row that has more or fewer cells than the header."""
    problem = f"expected {expected} cells as in the header, got {len(cells)}"
    if len(cells) > expected and not any(map(str.strip, cells[expected:])):
        return f"{problem}, of which the last are empty; is there a comma too many at the end of the line?"
    if len(cells) > expected:
        problem += "; a cell with a comma needs quotes, a number needs a decimal point"
    return problem
