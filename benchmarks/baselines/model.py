"""The class names and the TorchScript module of one version, for all baselines."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch

from modelstore import ModelRepository


@dataclass(frozen=True)
class Model:
    """A loaded version."""

    module: torch.jit.ScriptModule
    features: int
    classes: tuple[str, ...]


def load(*, freeze: bool) -> Model:
    """Load version 1 of iris from the store that BENCH_STORE names, as one would by hand: no checks.

    Args:
        freeze: inline the weights, which makes a call cheaper.
    """
    torch.set_num_threads(1)
    found = ModelRepository(Path(os.environ["BENCH_STORE"])).find("iris", 1)
    manifest = found.manifest()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".torch\.jit\.")
        path = str(Path(os.environ["BENCH_STORE"]) / "iris" / "1" / "model.pt")
        module: torch.jit.ScriptModule = torch.jit.load(path).eval()  # type: ignore[no-untyped-call]
        if freeze:
            module = torch.jit.freeze(module)
    with torch.inference_mode():
        for rows in (1, 1, 1, 100, 100, 100):
            module(torch.zeros(rows, len(manifest.features)))
    return Model(module, len(manifest.features), manifest.classes)
