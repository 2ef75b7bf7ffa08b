"""The tensors of a model: what goes into `model.pt` and what comes out of it.

N is rows and W cells of a row. The HMAC of a manifest, which is also called signature, is in `signing.py`.
"""

from __future__ import annotations

from typing import Literal, Self

from modelstore.features import Task
from modelstore.records import Record

OUTPUTS: dict[Task, str] = {"classification": "probabilities", "regression": "value"}  # name of the output tensor


class TensorSpec(Record):
    """Name, datatype (Open Inference Protocol spelling) and shape of a tensor; -1 is the batch."""

    name: str
    datatype: Literal["FP32"]
    shape: tuple[int, ...]


class Signature(Record):
    """What goes into `model.pt` and what comes out of it."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @classmethod
    def for_output(cls, name: str, width: int, *, cells: int) -> Self:
        """Return the signature of a model from cells (N, W) to one output (N, `width`)."""
        return cls(
            inputs=(TensorSpec(name="features", datatype="FP32", shape=(-1, cells)),),
            outputs=(TensorSpec(name=name, datatype="FP32", shape=(-1, width)),),
        )
