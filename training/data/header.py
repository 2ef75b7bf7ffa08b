"""Check the header of a data file: the names of its columns, and those that are asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from modelstore.reading import MAX_COLUMNS, MAX_NAME_CHARACTERS, SAME_NAME, find_repeated
from modelstore.wording import nearest
from training.data.faults import Faults

SHOWN_NAMES = 20
ID_NAME = re.compile(r"(?:^|[^a-z])(?:id|uuid|guid|key|index|unnamed)(?:$|[^a-z])|[a-z](?:ID|Id)$", re.ASCII)


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
    for name, (first, second) in find_repeated(names).items():
        problem = f"expected column names that differ, got this one twice, in columns {first} and {second}; {SAME_NAME}"
        if name:
            faults.add(problem, line=line, column=name)
    return not faults


def require_columns(faults: Faults, header: tuple[str, ...], names: Iterable[str], what: str = "") -> None:
    """Record a fault for each name that is not in the header, with the nearest that is.

    Args:
        faults: receives the faults.
        header: names of the columns of the file.
        names: names that a person gave.
        what: where they gave them, to end "expected this column", if that is not plain.
    """
    known = set(header)
    for name in names:
        if name not in known:
            meant = nearest(name, header)
            perhaps = f"; perhaps {meant!r} is meant" if meant else ""
            faults.add(f"expected this column{what}, got {list_names(header)}{perhaps}", column=name)


def list_names(header: tuple[str, ...]) -> str:
    """Return the first names, quoted."""
    return ", ".join(map(repr, header[:SHOWN_NAMES])) + (", ..." if len(header) > SHOWN_NAMES else "")


def names_ids(name: str) -> bool:
    """Return whether a column of this name identifies rows, as `customerID` does."""
    return bool(ID_NAME.search(name.lower())) or bool(ID_NAME.search(name))
