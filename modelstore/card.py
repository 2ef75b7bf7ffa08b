"""What only people know about a model, for its card; it must not know how a card is shown."""

from __future__ import annotations

import datetime as dt
import errno
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError

from modelstore.records import Label, Record

MAX_SENSITIVE_COLUMNS = 100

Text = Annotated[str, Field(min_length=1, max_length=2000)]


class CardStatements(Record):
    """What people state about a model; a field that nothing is said about is not stated.

    Attributes:
        owner: person or team that answers for the model.
        licence: of the model and its data.
        intended_use: what the model is for.
        out_of_scope_use: what it must not be used for.
        affected_people: whom its answers concern.
        sensitive_columns: columns that hold personal or protected data; an empty list says that there are none.
        risks: what may go wrong, and what is done against it.
        oversight: who may overrule an answer, and how.
        review_date: when the card must be looked at again.
    """

    owner: Text | None = None
    licence: Text | None = None
    intended_use: Text | None = None
    out_of_scope_use: Text | None = None
    affected_people: Text | None = None
    sensitive_columns: Annotated[tuple[Label, ...], Field(max_length=MAX_SENSITIVE_COLUMNS)] | None = None
    risks: Text | None = None
    oversight: Text | None = None
    review_date: dt.date | None = None

    def or_else(self, others: CardStatements | None) -> Self:
        """Return these statements, completed by others where a field is not stated."""
        stated = {name: value for name, value in self if value is not None}
        return self.model_copy(update=dict(others or ()) | stated)


def read_statements(file: Path) -> CardStatements:
    """Return the statements in a file; none if there is no such file.

    Raises:
        OSError: if it cannot be read, or has other content.
    """
    try:
        return CardStatements.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return CardStatements()
    except ValidationError as error:
        raise OSError(errno.EINVAL, f"{file.name} holds no statements for a model card") from error
