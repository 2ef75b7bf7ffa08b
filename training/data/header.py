"""Check the header of a data file: the names of its columns."""

from __future__ import annotations

from modelstore.reading import MAX_COLUMNS, MAX_NAME_CHARACTERS, SAME_NAME, repeated
from training.data.cells import finite
from training.data.faults import Faults


def names_are_right(names: tuple[str, ...], line: int, faults: Faults) -> bool:
    """Record faults of the names, and return whether there are none."""
    if len(names) > MAX_COLUMNS:
        faults.add(f"expected at most {MAX_COLUMNS} columns, got {len(names)}", line=line)
        return False
    separator = next((mark for mark in ";\t|" if len(names) == 1 and mark in names[0]), None)
    if separator:
        faults.add(f"columns are separated by {separator!r}, expected ',' (and '.' in numbers)", line=line)
        return False
    if _looks_like_data(names):
        sample = ", ".join(names[:3])
        faults.add(f"expected a line of column names, got numbers: {sample:.60}", line=line)
        return False
    _add_nameless(names, line, faults)
    for name in names:
        if len(name) > MAX_NAME_CHARACTERS:
            problem = f"expected names of 1 to {MAX_NAME_CHARACTERS} characters, got {name[:40]!r}..."
            faults.add(problem, line=line)
    for name, (first, second) in repeated(names).items():
        problem = f"expected column names that differ, got this one twice, in columns {first} and {second}; {SAME_NAME}"
        if name:
            faults.add(problem, line=line, column=name)
    return not faults


def _add_nameless(names: tuple[str, ...], line: int, faults: Faults) -> None:
    """Record columns without a name; those at the end are one fault."""
    named = max((place for place, name in enumerate(names, start=1) if name), default=0)
    if not named:
        faults.add("expected a line of column names, got empty cells", line=line)
        return
    for position in (place for place, name in enumerate(names[:named], start=1) if not name):
        hint = "an index that pandas wrote? use to_csv(index=False)" if position == 1 else "give it one"
        faults.add(f"column {position} has no name; {hint}", line=line)
    if nameless := len(names) - named:
        which = f"column {len(names)} has" if nameless == 1 else f"columns {named + 1} to {len(names)} have"
        faults.add(f"{which} no name; is there a comma too many at the end of the line?", line=line)


def _looks_like_data(names: tuple[str, ...]) -> bool:
    """Return whether most names are numbers that are unlikely as names; pandas writes 0, 1, 2... as names."""
    numbers = [name for name in names if finite(name) is not None]
    if 2 * len(numbers) <= len(names):
        return False
    return len(set(numbers)) < len(numbers) or not all(name.strip().isdigit() for name in numbers)
