"""Check the header of a data file: the names of its columns."""

from __future__ import annotations

from modelstore.reading import MAX_COLUMNS, MAX_NAME_CHARACTERS, SAME_NAME, repeated
from training.data.faults import Faults


def names_are_right(names: tuple[str, ...], line: int, faults: Faults) -> bool:
    """Record faults of the names, and return whether there are none."""
    if len(names) > MAX_COLUMNS:
        faults.add(f"expected at most {MAX_COLUMNS} columns, got {len(names)}", line=line)
        return False
    if not any(names):
        faults.add("expected a line of column names, got empty cells", line=line)
        return False
    for name in names:
        if len(name) > MAX_NAME_CHARACTERS:
            problem = f"expected names of 1 to {MAX_NAME_CHARACTERS} characters, got {name[:40]!r}..."
            faults.add(problem, line=line)
    for name, (first, second) in repeated(names).items():
        problem = f"expected column names that differ, got this one twice, in columns {first} and {second}; {SAME_NAME}"
        if name:
            faults.add(problem, line=line, column=name)
    return not faults
