"""Outputs of the Open Inference Protocol: which, in which order, as JSON or binary."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from starlette.testclient import TestClient

from app.inference.codecs.oip import OUTPUTS
from tests.app.oip import JSON_BYTES, infer, outputs_of, tensor


def test_answer_bytes_are_in_the_order_the_documentation_shows(steady: TestClient) -> None:
    assert infer(steady, id="42").content == (
        b'{"model_name":"means","model_version":"1","id":"42","outputs":['
        b'{"name":"probabilities","datatype":"FP32","shape":[2,2],"data":[0.75,0.25,0.25,0.75]},'
        b'{"name":"label","datatype":"BYTES","shape":[2],"data":["low","high"]},'
        b'{"name":"class_index","datatype":"INT64","shape":[2],"data":[0,1]}]}'
    )


@pytest.mark.parametrize("name", ["", "a", 'q"uo\\te', "ü€😀", "x" * 1024])
def test_id_is_echoed(steady: TestClient, name: str) -> None:
    assert infer(steady, id=name).json()["id"] == name


def test_no_id_is_made_up(steady: TestClient) -> None:
    assert "id" not in infer(steady).json()


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize(
    "names", [["label"], ["class_index", "probabilities"], ["label", "class_index", "probabilities"]], ids=", ".join
)
def test_outputs_come_in_the_order_in_which_they_are_asked_for(
    steady: TestClient, names: list[str], binary: bool
) -> None:
    outputs = [{"name": name, "parameters": {"binary_data": binary}} for name in names]

    found = outputs_of(infer(steady, outputs=outputs))

    assert list(found) == names
    every = outputs_of(infer(steady))
    assert all(np.array_equal(found[name], every[name]) for name in names)


def test_empty_list_of_outputs_asks_for_all(steady: TestClient) -> None:
    assert list(outputs_of(infer(steady, outputs=[]))) == list(OUTPUTS)


def test_binary_and_json_outputs_may_be_mixed(steady: TestClient) -> None:
    outputs = [{"name": "label", "parameters": {"binary_data": True}}, {"name": "probabilities"}]

    answer = infer(steady, outputs=outputs)

    assert answer.headers["content-type"] == "application/octet-stream"
    document = orjson.loads(answer.content[: int(answer.headers[JSON_BYTES])])
    assert document["outputs"][0] == {
        "name": "label",
        "datatype": "BYTES",
        "shape": [2],
        "parameters": {"binary_data_size": 15},
    }
    assert answer.content.endswith(b"\x03\0\0\0low\x04\0\0\0high")
    assert outputs_of(answer)["probabilities"].tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_wish_of_one_output_wins_over_that_of_the_request(steady: TestClient) -> None:
    outputs = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "class_index"}]

    answer = infer(steady, outputs=outputs, parameters={"binary_data_output": True})

    described = orjson.loads(answer.content[: int(answer.headers[JSON_BYTES])])["outputs"]
    assert [("data" in output) for output in described] == [True, False]


@pytest.mark.parametrize("top", [1, 2, 3, 99])
@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_classification_names_the_best_classes_with_value_and_index(steady: TestClient, top: int, binary: bool) -> None:
    wanted = {"name": "probabilities", "parameters": {"classification": top, "binary_data": binary}}
    inputs = [tensor([[0, 0, 0.75], [1, 1, 1]])]

    found = outputs_of(infer(steady, inputs, "/v2/models/thirds/infer", outputs=[wanted]))["probabilities"]

    ranked = [["0.75:0:none", "0.25:2:all", "0.0:1:some"], ["1.0:2:all", "0.0:0:none", "0.0:1:some"]]
    assert found.tolist() == [row[:top] for row in ranked]
