"""ONNX files made by hand: networks, and the twin of `MeanModel`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

OPSET = 18
Nodes = Sequence[onnx.NodeProto]
Arrays = dict[str, np.ndarray]


def graph(nodes: Nodes, constants: Arrays, *, cells: int = 2, outputs: int = 2) -> onnx.GraphProto:
    """Return a graph from `features` to `probabilities`."""
    floats = onnx.TensorProto.FLOAT
    return helper.make_graph(
        list(nodes),
        "model",
        [helper.make_tensor_value_info("features", floats, ["N", cells])],
        [helper.make_tensor_value_info("probabilities", floats, ["N", outputs])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )


def saved(made: onnx.GraphProto, domains: Sequence[str] = ()) -> bytes:
    """Return the file of a graph."""
    opsets = [helper.make_opsetid("", OPSET), *(helper.make_opsetid(domain, 3) for domain in domains)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString())


def mean_nodes(source: str = "features") -> list[onnx.NodeProto]:
    """Return the nodes of `MeanModel` for two classes, from these rows."""
    return [
        helper.make_node("ReduceMean", [source, "columns"], ["mean"], keepdims=1),
        helper.make_node("Add", ["mean", "shift"], ["shifted"]),
        helper.make_node("Clip", ["shifted", "zero", "one"], ["high"]),
        helper.make_node("Sub", ["one", "high"], ["low"]),
        helper.make_node("Concat", ["low", "high"], ["probabilities"], axis=1),
    ]


def mean_constants(shift: float = 0.0) -> Arrays:
    """Return the constants of those nodes."""
    numbers = {"zero": 0.0, "one": 1.0, "shift": shift}
    return {"columns": np.array([1])} | {name: np.array(value, np.float32) for name, value in numbers.items()}


def mean_onnx(shift: float = 0.0, *, cells: int = 2, classes: int = 2) -> bytes:
    """Return `MeanModel` as ONNX."""
    nothing = [helper.make_node("Mul", ["high", "zero"], ["nothing"])] if classes > 2 else []
    parts = ["low", *["nothing"] * (classes - 2), "high"]
    nodes = [*mean_nodes()[:-1], *nothing, helper.make_node("Concat", parts, ["probabilities"], axis=1)]
    return saved(graph(nodes, mean_constants(shift), cells=cells, outputs=classes))


def network_onnx(layers: torch.nn.Sequential) -> bytes:
    """Return linear layers with ReLU between them and a softmax at the end as ONNX."""
    nodes, constants, last = [], {}, "features"
    for place, layer in enumerate(layers):
        if isinstance(layer, torch.nn.Linear):
            constants[f"w{place}"], constants[f"b{place}"] = layer.weight.detach().numpy(), layer.bias.detach().numpy()
            nodes.append(helper.make_node("Gemm", [last, f"w{place}", f"b{place}"], [f"x{place}"], transB=1))
        elif isinstance(layer, torch.nn.ReLU):
            nodes.append(helper.make_node("Relu", [last], [f"x{place}"]))
        else:
            continue
        last = f"x{place}"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"], axis=1))
    widths = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
    return saved(graph(nodes, constants, cells=widths[0].in_features, outputs=widths[-1].out_features))
