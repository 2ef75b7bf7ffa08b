"""Build an ONNX graph node by node, with arithmetic on its values.

It must not know modules. `import onnx` needs the extra `onnx`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from torch import Tensor

from training.artifact.onnx.opset import ML, ML_OPSET, OPSET

IR_VERSION = 10  # which onnxruntime 1.23 reads
INPUT = "features"

Array = npt.NDArray[Any]


class Graph:
    """Nodes and constants, in the order in which they were added, so equal models give equal bytes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}

    def input(self) -> Value:
        """Return the cells, float32 (N, W)."""
        return Value(self, INPUT)

    def add(self, operator: str, *inputs: Operand, domain: str = "", **attributes: Any) -> Value:
        """Add a node of one output and return the output; numbers and arrays become constants."""
        names, output = [self._name(each) for each in inputs], f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, names, [output], domain=domain, **attributes))
        return Value(self, output)

    def to_bytes(self, output: Value, name: str, cells: int, width: int) -> bytes:
        """Return the file of a model from cells (N, `cells`) to one output (N, `width`) of this name.

        Raises:
            onnx.checker.ValidationError: if a node is not what the standard says.
        """
        nodes = [*self._nodes, helper.make_node("Identity", [output.name], [name])]
        graph = helper.make_graph(
            nodes,
            "model",
            [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, ["N", cells])],
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", width])],
            list(self._constants.values()),
        )
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=versions, producer_name="tabserve")
        onnx.checker.check_model(model)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _name(self, operand: Operand) -> str:
        if isinstance(operand, Value):
            return operand.name
        if isinstance(operand, Tensor):
            operand = operand.detach().numpy()
        array = np.asarray(operand, dtype=np.float32 if isinstance(operand, float) else None)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(np.ascontiguousarray(array), f"c{len(self._constants)}")
        known: str = self._constants[key].name
        return known


class Value:
    """A tensor of a graph. Arithmetic adds nodes to it; a number is a float32."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph = graph
        self.name = name

    def __add__(self, other: Operand) -> Value:
        return self.graph.add("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.add("Sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.add("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.add("Div", self, other)

    def __matmul__(self, other: Operand) -> Value:
        return self.graph.add("MatMul", self, other)

    def floor(self) -> Value:
        """Return the largest whole numbers that are not above the values."""
        return self.graph.add("Floor", self)

    def modulo(self, divisor: float) -> Value:
        """Return what is left of whole numbers below 2^24, 0 to divisor - 1."""
        return self - (self / divisor).floor() * divisor

    def columns(self, places: Tensor | Array | Sequence[int]) -> Value:
        """Return some columns of (N, W)."""
        return self.graph.add("Gather", self, np.asarray(places, dtype=np.int64), axis=1)

    def reshape(self, *shape: int) -> Value:
        """Return the values in another shape; -1 infers a dimension, 0 keeps it."""
        return self.graph.add("Reshape", self, np.array(shape, dtype=np.int64))

    def is_missing(self) -> Value:
        """Return whether each value is NaN."""
        return self.graph.add("IsNaN", self)

    def where(self, condition: Value, otherwise: Operand) -> Value:
        """Return the values where a condition holds, something else where not."""
        return self.graph.add("Where", condition, self, otherwise)

    def without_missing(self) -> Value:
        """Return the values with 0 in place of NaN."""
        return self.graph.add("Where", self.is_missing(), 0.0, self)

    def as_float(self) -> Value:
        """Return float32."""
        return self.graph.add("Cast", self, to=onnx.TensorProto.FLOAT)

    def as_int(self) -> Value:
        """Return int64."""
        return self.graph.add("Cast", self, to=onnx.TensorProto.INT64)

    def softmax(self, axis: int) -> Value:
        """Return probabilities that sum to 1 along an axis."""
        return self.graph.add("Softmax", self, axis=axis)

    def mean_of_first(self) -> Value:
        """Return the mean over the first axis, which the result lacks."""
        return self.graph.add("ReduceMean", self, np.array([0], dtype=np.int64), keepdims=0)

    def beside(self, *others: Value, axis: int = 1) -> Value:
        """Return these values and others in one tensor."""
        return self.graph.add("Concat", self, *others, axis=axis) if others else self


Operand = Value | Tensor | Array | float
