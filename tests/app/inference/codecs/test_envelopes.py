"""The forms in which a document may hold its rows, and what is said about any other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import InvalidInput, Problem
from app.inference.codecs.json import read_request
from tests.app.tables import schema_of
from tests.app.typed import of_json

SCHEMA = schema_of(("left", "right"))

FORMS: dict[str, dict[str, Any]] = {
    "records": {"dataframe_records": [{"left": 1, "right": 2}, {"right": 4, "left": 3}], "version": 3},
    "split": {"dataframe_split": {"index": ["a", "b"], "columns": ["right", "left"], "data": [[2, 1], [4, 3]]}},
    "pandas": {"columns": [" left", "right"], "index": [0, 1], "data": [[1, 2], [3, 4]]},
    "columns": {"inputs": {"right": [2, 4], "left": [1, 3]}, "model": "means"},
}


@pytest.mark.parametrize("document", FORMS.values(), ids=FORMS.keys())
def test_rows_of_every_form_are_those_of_instances(document: dict[str, Any]) -> None:
    assert of_json(document, SCHEMA).tolist() == [[1, 2], [3, 4]]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"rows": [[1, 2]]}, "rows: is not known; known are instances, model, version"),
    "misspelt": ({"instance": [[1, 2]]}, "instance: is not known, perhaps instances is meant"),
    "two forms": ({"instances": [[1, 2]], "inputs": {}}, "inputs must not be there beside instances"),
    "unknown in split": ({"dataframe_split": {"rows": 1}}, "dataframe_split.rows: is not known"),
    "names are numbers": ({"columns": [1], "data": [[1]]}, "columns must be an array of the names of the columns"),
    "uneven": ({"inputs": {"left": [1], "right": [1, 2]}}, "must have the same number of values, got 1 to 2"),
    "scalar": ({"inputs": {"left": 1, "right": 2}}, "inputs.left must be an array of at least one value"),
    "short row": ({"columns": ["left", "right"], "data": [[1, 2], [1]]}, "row 1 has 1 value, 2 are expected"),
    "missing": ({"columns": ["left"], "data": [[1]]}, "column 'right' is missing among the columns"),
}


@pytest.mark.parametrize(("document", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_any_other_form_is_refused_by_name(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        of_json(document, SCHEMA)

    assert message in str(refused.value)


def test_name_that_is_twice_in_a_form_is_seen() -> None:
    body = orjson.dumps(FORMS["columns"]).replace(b'"inputs":{', b'"inputs":{"left":[9,9],')

    with pytest.raises(Exception, match="same name twice"):
        read_request(body)


def test_unknown_names_are_ignored_if_the_request_says_so() -> None:
    rows = {"instances": [{"left": 1, "rigth": 5, "right": 2}]}

    assert of_json(rows, SCHEMA, ignore_extra=True).tolist() == [[1, 2]]
    with pytest.raises(InvalidInput) as refused:
        of_json(rows, SCHEMA)
    hint = "did you mean 'right'?; leave it out or add ?ignore_extra=true"
    assert refused.value.problems == (Problem(0, "rigth", f"is not a column of the model; {hint}"),)
