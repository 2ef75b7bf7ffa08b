"""The queries of all routes: which parameters they take, and that each is given once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from pydantic import BaseModel

from app.errors import InvalidInput, Problem

TWICE = "is given twice; give it once"


def require_distinct(query: bytes, known: Collection[str]) -> None:
    """Refuse a query with a parameter that is given twice; to take one of its values would be a guess.

    Args:
        query: as in the URL.
        known: names of parameters that a message may repeat; others are named by their positions.

    Raises:
        InvalidInput.
    """
    first: dict[str, int] = {}
    for position, (name, _) in enumerate(parse_qsl(query.decode("latin-1"), keep_blank_values=True), start=1):
        if (earlier := first.setdefault(name, position)) == position:
            continue
        problem = TWICE if name in known else f"parameter {position} has the name of parameter {earlier}; {TWICE}"
        feature = name if name in known else None
        raise InvalidInput(f"{feature or 'the query'}: {problem}; see GET /docs", (Problem(None, feature, problem),))


def find_query_model(endpoint: Callable[..., Any]) -> type[BaseModel] | None:
    """Return the model of a route's query parameters, if it takes any."""
    hints = get_type_hints(endpoint)
    hints.pop("return", None)
    return next((hint for hint in hints.values() if isinstance(hint, type) and issubclass(hint, BaseModel)), None)
