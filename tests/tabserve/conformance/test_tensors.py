"""Requests that a model's metadata ask for, and outputs as the protocol wants them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tabserve.conformance.rules import CannotCheck, RuleBroken
from tabserve.conformance.tensors import flat, read_request, require_metadata, require_output, typical_request
from tabserve.errors import WrongInput

GOOD = {"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [0.5, 1]}


def test_typical_request_has_one_row_of_each_input() -> None:
    described = [
        {"name": "x", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "town", "datatype": "BYTES", "shape": [-1]},
        {"name": "new", "datatype": "BOOL", "shape": [1]},
    ]

    assert typical_request({"inputs": described}) == {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 1]},
            {"name": "town", "datatype": "BYTES", "shape": [1], "data": [""]},
            {"name": "new", "datatype": "BOOL", "shape": [1], "data": [True]},
        ]
    }
    with pytest.raises(CannotCheck, match="--request"):
        typical_request({})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"data": [[0.5], [1]]}, ""),
        ({"data": [None, 1]}, ""),
        ({"name": 3}, "needs a name"),
        ({"datatype": "FLOAT"}, "datatype 'FLOAT'"),
        ({"shape": [2, -1]}, "integers from 0"),
        ({"shape": [3, 1]}, "2 values, but the shape holds 3"),
        ({"data": "x"}, "data must be an array"),
        ({"data": ["x", 1]}, "must not be str"),
        ({"datatype": "INT8", "data": [1, 0.5]}, "must not be float"),
    ],
)
def test_output_is_held_to_its_datatype_and_shape(change: dict[str, Any], said: str) -> None:
    if not said:
        require_output(GOOD | change)
        return
    with pytest.raises(RuleBroken, match=said):
        require_output(GOOD | change)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [("x", "an array"), ([{}], "needs a name"), ([{"name": "x", "datatype": "?"}], "is none"),
     ([{"name": "x", "datatype": "FP32", "shape": [-2]}], "from -1")],
)  # fmt: skip
def test_metadata_of_tensors_are_held_to_the_protocol(tensors: object, said: str) -> None:
    require_metadata([{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], "inputs")
    with pytest.raises(RuleBroken, match=said):
        require_metadata(tensors, "inputs")


def test_nested_data_are_flattened_in_order() -> None:
    assert flat([[1, 2], [[3]], 4]) == [1, 2, 3, 4]


def test_file_that_is_no_request_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    wrong = [
        ("{", "is no JSON"),
        ("[]", "must hold a request"),
        ('{"inputs": 1}', "must hold a request"),
        ('{"inputs": []}', "must hold a request"),
        ('{"inputs": [{"name": "x", "datatype": "FP32"}]}', "input 0 lacks shape, data"),
    ]
    for text, said in wrong:
        file.write_text(text)
        with pytest.raises(WrongInput, match=said):
            read_request(file)
    file.write_text(json.dumps({"inputs": [GOOD]}))
    assert read_request(file) == {"inputs": [GOOD]}
