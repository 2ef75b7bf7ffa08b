"""Write a module to a graph: the function that others extend by class.

It must not know any module.
"""

from __future__ import annotations

import functools

from torch import nn

from training.artifact.onnx.graph import Value


class NotWritable(Exception):
    """A module, or a part of it, is of a class that cannot be written."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(f"nothing here writes a {type(module).__name__} as ONNX")


@functools.singledispatch
def write(module: nn.Module, x: Value) -> Value:
    """Add the nodes of a module in evaluation mode to its input, and return its output.

    Raises:
        NotWritable: if it or a part of it is of another class.
    """
    raise NotWritable(module)
