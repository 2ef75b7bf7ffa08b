"""ONNX files that a store must refuse, each wrong in one way, with the reason expected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.onnx_models import graph, mean_constants, mean_nodes, mean_onnx, saved


def _model(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.ModelProto.FromString(mean_onnx())
    change(model)
    return bytes(model.SerializeToString())


def _with(*nodes: onnx.NodeProto, domains: tuple[str, ...] = (), **constants: np.ndarray) -> bytes:
    """Return a file whose first nodes make `rows` of `features`."""
    return saved(graph([*nodes, *mean_nodes("rows")], mean_constants() | constants), domains)


def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")


def _external_in_attribute() -> bytes:
    tensor = numpy_helper.from_array(np.zeros((1, 2), np.float32), "inner")
    tensor.external_data.add(key="location", value="/etc/passwd")
    return _with(
        helper.make_node("Constant", [], ["c"], value=tensor), helper.make_node("Add", ["features", "c"], ["rows"])
    )


def _loop() -> bytes:
    body = helper.make_graph([], "body", [], [])
    return _with(helper.make_node("Loop", ["", "", "features"], ["rows"], body=body))


def _hidden_branch() -> bytes:
    """Return a file with a graph in an attribute of an operator that takes none."""
    body = helper.make_graph([], "body", [], [])
    return _with(helper.make_node("Identity", ["features"], ["rows"], then_branch=body))


def _huge() -> bytes:
    """Return a file whose rows say how large a tensor becomes."""
    return _with(
        helper.make_node("Cast", ["features"], ["whole"], to=onnx.TensorProto.INT64),
        helper.make_node("ReduceMax", ["whole"], ["size"], keepdims=0),
        helper.make_node("Reshape", ["size", "one_row"], ["sizes"]),
        helper.make_node("ConstantOfShape", ["sizes"], ["rows"]),
        one_row=np.array([1]),
    )


def _function(model: onnx.ModelProto) -> None:
    model.functions.add(name="Relu", domain="")


def _trains() -> bytes:
    node = helper.make_node("BatchNormalization", ["features", "s", "s", "s", "s"], ["rows", "m", "v"], training_mode=1)
    return _with(node, s=np.ones(2, np.float32))


def _twice() -> bytes:
    """Return a file with two graphs, which one reader may merge and another may not."""
    model = onnx.ModelProto()
    model.graph.CopyFrom(onnx.ModelProto.FromString(mean_onnx()).graph)
    return mean_onnx() + bytes(model.SerializeToString())


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "garbage": (lambda: np.random.default_rng(0).bytes(4096), "onnx_forbidden"),
    "text": (lambda: b"no model", "onnx_forbidden"),
    "empty": (lambda: b"", "onnx_invalid"),
    "cut off": (lambda: mean_onnx()[:-9], "onnx_invalid"),
    "format of ONNX Runtime": (lambda: b"\x12\x06\0\0ORTM" + mean_onnx(), "onnx_invalid"),
    "two graphs": (_twice, "onnx_forbidden"),
    "weights in another file": (lambda: _model(_external), "onnx_external"),
    "constant in another file": (_external_in_attribute, "onnx_external"),
    "loop": (_loop, "operator_forbidden"),
    "graph in an attribute": (_hidden_branch, "operator_forbidden"),
    "random numbers": (
        lambda: _with(helper.make_node("RandomNormalLike", ["features"], ["rows"])),
        "operator_forbidden",
    ),
    "operator of a vendor": (
        lambda: _with(
            helper.make_node("Gelu", ["features"], ["rows"], domain="com.microsoft"), domains=("com.microsoft",)
        ),
        "operator_forbidden",
    ),
    "function": (lambda: _model(_function), "onnx_forbidden"),
    "training mode": (_trains, "training_mode"),
    "size of a value": (_huge, "rows_not_independent"),
    "two inputs": (lambda: _model(lambda model: model.graph.input.add(name="more")), "contract_shape"),
    "value before it is computed": (lambda: _with(helper.make_node("Identity", ["high"], ["rows"])), "onnx_invalid"),
}
