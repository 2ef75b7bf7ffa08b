"""Convert pydantic's validation errors to `InvalidInput`, which names the wrong fields.

This module must not know what the fields are for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from app.errors import MAX_PROBLEMS, InvalidInput, Problem
from modelstore import wording


def make_invalid_input(
    faults: Sequence[Mapping[str, Any]],
    kind: type[BaseModel] | None,
    sent: object,
    whole: str = "the body",
    noun: str = "field",
) -> InvalidInput:
    """Return the error that names the wrong fields, each by its dotted name; values are not repeated.

    Args:
        faults: pydantic's `errors()`.
        kind: model that the request was validated against.
        sent: the request as parsed.
        whole: name of what was validated, for a fault that is in no field.
        noun: word for a field in messages.
    """
    problems = tuple(_problem(fault, kind, sent, noun) for fault in faults[:MAX_PROBLEMS])
    return InvalidInput(f"{problems[0].feature or whole}: {problems[0].problem}; see GET /docs", problems)


def _problem(fault: Mapping[str, Any], kind: type[BaseModel] | None, sent: object, noun: str) -> Problem:
    if fault["type"] != "extra_forbidden":
        return Problem(None, _join_path(_name_parts(fault["loc"], kind, sent)), wording.describe_problem(fault))
    *outer, name = fault["loc"]
    for part in outer:
        kind, sent = _model_below(kind, part), _value_below(sent, part)
    names = list(sent) if isinstance(sent, Mapping) else [name]
    known = kind.model_fields if kind else ()
    label, text = wording.describe_unknown(str(name), names.index(name) + 1, known, noun)
    return Problem(None, _join_path([*outer, label] if label else outer), text)


def _name_parts(path: Sequence[str | int], kind: type[BaseModel] | None, sent: object) -> list[str | int]:
    """Return the parts of a path, with the position from 1 in place of a name that the client chose.

    Such a name is a key of a field that maps names to values, such as `types`.
    """
    parts: list[str | int] = []
    within = kind is not None
    for part in path:
        if part == "[key]":  # pydantic's last part if the name itself is wrong
            break
        if within and kind is None and isinstance(sent, Mapping):
            parts.append([*sent].index(part) + 1)
        else:
            parts.append(part)
        kind, sent = _model_below(kind, part), _value_below(sent, part)
    return parts


def _join_path(parts: Iterable[object]) -> str | None:
    """Return the dotted name of a field, or None for the request as a whole."""
    return ".".join(map(str, parts)) or None


def _model_below(kind: type[BaseModel] | None, part: str | int) -> type[BaseModel] | None:
    """Return the pydantic model that a field holds, if any."""
    field = kind.model_fields.get(str(part)) if kind else None
    annotations = (field.annotation, *get_args(field.annotation)) if field else ()
    return next((one for one in annotations if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _value_below(sent: object, part: str | int) -> object:
    if isinstance(sent, Mapping):
        return sent.get(part)
    return sent[part] if isinstance(sent, list) and isinstance(part, int) else None
