"""Convert a module to TorchScript bytes and back.

This is the only module of `training` that may use `torch.jit`. TorchScript is deprecated upstream in favour of
torch.export; `docs/decisions.md` says why we keep it. The artifact is one function: cells, float32 (N, W), to
probabilities, float32 (N, K), with the scaler as submodule `scaler`.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from training.errors import ExportError
from training.learners.protocol import Predict, predictor

TOLERANCE = 1e-6  # of a probability, or of the largest value
CHECKED_ROWS = 65_536


def to_torchscript(module: nn.Module, x: npt.NDArray[np.floating[Any]]) -> bytes:
    """Script the module, in evaluation mode, and return the bytes of `model.pt`.

    Args:
        module: the module returned by a learner.
        x: cells, shape (N, W), N >= 1, on which the reloaded bytes must agree with the module; of many rows,
            an evenly spread part is checked.

    Raises:
        ExportError: if any probability differs by more than 1e-6 or, of a regression, any value by more than 1e-6 of
            the largest one: some units in its last place of float32.
    """
    stream = io.BytesIO()
    with _deprecation_accepted():
        torch.jit.save(torch.jit.script(module.eval()), stream)
    model = stream.getvalue()
    some = x[:: -(-len(x) // CHECKED_ROWS)]
    answers = predictor(module)(some)
    difference = float(np.abs(load(model)(some) - answers).max())
    tolerance = TOLERANCE * (float(np.abs(answers).max()) if answers.shape[1] == 1 else 1.0)
    if not difference <= tolerance:
        raise ExportError(difference, tolerance)
    return model


def load(model: bytes) -> Predict:
    """Load the bytes of `model.pt` as a function; they must come from a trusted store, because a model is code.

    Raises:
        RuntimeError: if the bytes are not TorchScript.
    """
    with _deprecation_accepted():
        return predictor(torch.jit.load(io.BytesIO(model), map_location="cpu"))  # type: ignore[no-untyped-call]


def weights(model: bytes) -> dict[str, Tensor]:
    """Return the named weights in the bytes of `model.pt`, including those of the scaler; otherwise as `load`."""
    with _deprecation_accepted():
        state: dict[str, Tensor] = torch.jit.load(io.BytesIO(model), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    return state


@contextlib.contextmanager
def _deprecation_accepted() -> Iterator[None]:
    """Silence "`torch.jit...` is deprecated", a DeprecationWarning in torch 2.13 and a FutureWarning from 2.14 on."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", message=r".torch\.jit\.", category=category)
        yield
