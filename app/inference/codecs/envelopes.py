"""The forms in which a JSON document may hold its rows.

    {"instances": [...]}                                   rows by position or by name
    {"dataframe_records": [{...}]}                         rows by name, as MLflow
    {"dataframe_split": {"columns": [...], "data": [[...]]}}   the names once, as MLflow
    {"columns": [...], "data": [[...]]}                    the same, as pandas writes it with orient="split"
    {"inputs": {"name": [...]}}                            columns by name

`model`, `version` and options may stand beside each of them. This module must not know what the values mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from app.errors import MAX_PROBLEMS, InvalidInput, Problem, wrong_field
from app.inference.codecs.columns import json_type
from app.inference.codecs.headers import name_problems, places_of
from app.inference.codecs.json_rows import describe_wrong_length
from app.inference.options import BODY_FIELDS
from app.schema import ModelSchema, make_printable
from modelstore import wording

INSTANCES, RECORDS, SPLIT, INPUTS = "instances", "dataframe_records", "dataframe_split", "inputs"

_BESIDE = ("model", "version", *BODY_FIELDS)
_SPLIT_FIELDS = ("columns", "data", "index")
FIELDS = (INSTANCES, *_BESIDE, RECORDS, SPLIT, INPUTS, *_SPLIT_FIELDS)
_FORMS = (INSTANCES, RECORDS, SPLIT, INPUTS, "data")


class Rows(NamedTuple):
    """The rows of a document.

    Attributes:
        instances: rows that are arrays, or objects by name.
        names: names of the values of each row; None if rows are in feature order, or objects.
        strings: number of strings of the document that are not in `instances`, without model and version.
    """

    instances: Any
    names: tuple[str, ...] | None
    strings: int


def find_rows(document: object) -> Rows:
    """Return the rows of a document.

    Raises:
        InvalidInput: if the document is no object, has an unknown field, or has its rows in no form or in several.
    """
    if type(document) is not dict:
        got = json_type(document)
        raise InvalidInput(f'the body must be an object such as {{"instances": [[...], ...]}}, got {got}')
    _require_known(document, FIELDS)
    forms = [form for form in _FORMS if form in document]
    if len(forms) > 1:
        raise invalid_field(forms[1], f"must not be there beside {forms[0]}: rows come in one form", document[forms[1]])
    if SPLIT in document:
        split = document[SPLIT]
        if type(split) is not dict:
            raise invalid_field(SPLIT, "must be an object with columns and data", split)
        _require_known(split, _SPLIT_FIELDS, f"{SPLIT}.")
        return _split(split, f"{SPLIT}.", len(document))
    if "columns" in document or "data" in document:
        return _split(document, "", 0)
    if INPUTS in document:
        return _columns(document[INPUTS], len(document))
    form = forms[0] if forms else INSTANCES
    return Rows(document.get(form), None, len(document))


def in_feature_order(
    rows: Sequence[Any], names: Sequence[str], schema: ModelSchema, *, ignore_extra: bool
) -> list[Any]:
    """Return rows of named values in feature order.

    Raises:
        InvalidInput: if the names do not fit the model, or a row has another number of values.
    """
    known = schema.spell_as_features(names)
    problems = name_problems(known, schema, ignore_extra=ignore_extra, where=" among the columns")
    for index, row in enumerate(rows):
        if type(row) is not list or len(row) != len(names):
            got = (
                describe_wrong_length(len(row), len(names))
                if type(row) is list
                else f"must be an array, got {json_type(row)}"
            )
            problems.append(Problem(index, None, got))
            if len(problems) >= MAX_PROBLEMS:
                break
    if problems:
        first = problems[0]
        place = f"row {first.row}" if first.feature is None else f"column {first.feature!r}"
        raise InvalidInput(f"{place} {first.problem}. {schema.expectation}", tuple(problems))
    places = places_of(known, schema)
    return [[None if place is None else row[place] for place in places] for row in rows]


def invalid_field(field: str, expected: str, got: object) -> InvalidInput:
    """Return the error for a field of the envelope."""
    kind = "an empty array" if got == [] else "nothing" if got is None else json_type(got)
    return wrong_field(field, f"{expected}, got {kind}", field)


def _split(split: dict[str, Any], prefix: str, above: int) -> Rows:
    names, data, index = split.get("columns"), split.get("data"), split.get("index")
    if type(names) is not list or not names or any(type(name) is not str for name in names):
        raise invalid_field(f"{prefix}columns", "must be an array of the names of the columns", names)
    if type(data) is not list or not data:
        raise invalid_field(f"{prefix}data", "must be an array of at least one row", data)
    labels = sum(type(label) is str for label in index) if type(index) is list else 0
    return Rows(data, tuple(names), above + len(split) + len(names) + labels)


def _columns(columns: object, above: int) -> Rows:
    if type(columns) is not dict or not columns:
        raise invalid_field(INPUTS, "must be an object with an array of values for each column", columns)
    for name, values in columns.items():
        if type(values) is not list or not values:
            raise invalid_field(f"{INPUTS}.{make_printable(name)}", "must be an array of at least one value", values)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        problem = f"the columns must have the same number of values, got {min(lengths)} to {max(lengths)}"
        raise wrong_field(INPUTS, problem)
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Rows(rows, tuple(columns), above + len(columns))


def _require_known(document: dict[str, Any], known: Sequence[str], prefix: str = "") -> None:
    """Refuse unknown fields; names them."""
    unknown = [name for name in document if name not in known][:MAX_PROBLEMS]
    problems = []
    for name in unknown:
        meant = wording.closest_name(name, known)
        hint = f", perhaps {meant} is meant" if meant else f"; known are {', '.join(known)}"
        problems.append(Problem(None, prefix + make_printable(name), f"is not known{hint}"))
    if problems:
        raise InvalidInput(f"{problems[0].feature}: {problems[0].problem}", tuple(problems))
