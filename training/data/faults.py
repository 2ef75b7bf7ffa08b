"""The faults of one data file, as they are found; it must not know how a file is read."""

from __future__ import annotations

from modelstore import DatasetFault

MAX_FAULTS = 10


class Faults:
    """The faults of one file, in the order found; reading stops once there are ten."""

    def __init__(self) -> None:
        self._found: list[DatasetFault] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def full(self) -> bool:
        """Tell whether there are as many as anybody wants to read."""
        return len(self._found) >= MAX_FAULTS

    def add(self, problem: str, *, line: int | None = None, column: str | None = None) -> None:
        """Note a fault, unless there are ten."""
        if not self.full:
            self._found.append(DatasetFault(line=line, column=column, problem=problem))

    def sorted(self) -> tuple[DatasetFault, ...]:
        """Return the faults by line, those of the whole file first."""
        return tuple(sorted(self._found, key=lambda fault: fault.line or 0))


def ragged(cells: list[str], expected: int) -> str:
    """Say what is wrong with a row that has not as many cells as the header."""
    problem = f"expected {expected} cells as in the header, got {len(cells)}"
    if len(cells) > expected and not any(map(str.strip, cells[expected:])):
        return f"{problem}, of which the last are empty; is there a comma too many at the end of the line?"
    if len(cells) > expected:
        problem += "; a cell with a comma needs quotes, a number needs a decimal point"
    return problem
