"""What cannot be written says so."""

from __future__ import annotations

import pytest
from torch import nn

from training.artifact.onnx.graph import Graph
from training.artifact.onnx.writers import NotWritable, write


def test_a_module_of_an_unknown_class_is_named() -> None:
    with pytest.raises(NotWritable, match="nothing here writes a Bilinear as ONNX"):
        write(nn.Sequential(nn.Bilinear(1, 1, 1)), Graph().input())
