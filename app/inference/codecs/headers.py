"""Find the features among the named columns of a table.

This module must not know any particular format.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from app.errors import MAX_PROBLEMS, Problem, wrong_field
from app.schema import ModelSchema
from modelstore.reading import SAME_NAME, find_repeated

LEAVE_OUT = "leave it out or add ?ignore_extra=true"


def places_of(names: Sequence[str], schema: ModelSchema) -> list[int | None]:
    """Return the position of each feature among recognised names; None for an optional one that is not there."""
    places = {name: place for place, name in enumerate(names)}
    return [places.get(feature) for feature in schema.features]


def id_place(names: Sequence[str], id_column: str) -> int:
    """Return the position of the column of ids among the recognised names of a table.

    Raises:
        InvalidInput: if it is not there.
    """
    if id_column in names:
        return names.index(id_column)
    raise wrong_field("id_column", "names no column of the table", "id_column")


def name_problems(
    names: Sequence[str],
    schema: ModelSchema,
    *,
    ignore_extra: bool,
    row: int | None = None,
    where: str = "",
    hint: str = LEAVE_OUT,
    id_column: str | None = None,
) -> list[Problem]:
    """Return what is wrong with the names of columns; empty if `places_of` can find all features.

    Args:
        names: recognised names.
        schema: schema of the model.
        ignore_extra: whether columns may be there that the model does not know.
        row: number of the row or line that holds the names, if any.
        where: words for the place of the names; ends the message about a missing one.
        hint: what to do; ends the message about an unknown one.
        id_column: name of a column that the model need not know, as it holds ids.
    """
    there = set(names)
    lacking = (name for name in schema.features if name not in there and name not in schema.optional)
    wrong = [Problem(row, name, f"is missing{where}") for name in lacking]
    for name, (first, second) in itertools.islice(find_repeated(names).items(), MAX_PROBLEMS):
        problem = f"is named twice, in columns {first} and {second}; {SAME_NAME}"
        wrong.append(Problem(row, name if name in schema.columns else schema.describe_unknown(name)[0], problem))
    unknown = [] if ignore_extra else [name for name in dict.fromkeys(names) if schema.is_unknown(name)]
    unknown = [name for name in unknown if name != id_column]
    for name in unknown[:MAX_PROBLEMS]:
        shown, problem = schema.describe_unknown(name)
        wrong.append(Problem(row, shown, f"{problem}; {hint}"))
    return wrong
