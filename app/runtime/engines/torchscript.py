"""Engines that run a TorchScript module: as it is on any device, or as CUDA graphs.

Engines must not know manifests, versions or the store.
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
import warnings
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import torch

from app.runtime.engines.choice import BUCKETS, WARM_UP_CALLS
from app.runtime.verify import graph_scan
from app.schema import Float32

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScriptEngine:
    """Run the module unchanged on a device."""

    name: str
    module: torch.jit.ScriptModule

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities of any number of rows."""
        with torch.inference_mode():
            probabilities: torch.Tensor = self.module.forward(torch.from_numpy(x).to(self.name))
            return probabilities.cpu().numpy()  # (N, K)

    def image(self) -> bytes:
        """Return a SHA-256 digest of the module's state: parameters, buffers, lists and program constants."""
        return hashlib.sha256(self.module.save_to_buffer()).digest()


class GraphEngine:
    """Run the module as CUDA graphs, one per bucket, fed from pinned memory on its own stream.

    A graph replays all kernels with one launch; for a small network, launches take most of the time. A batch runs in
    the smallest bucket that holds it; results of unused rows are ignored. One thread runs at a time, because the
    graph's input and output buffers exist only once.
    """

    def __init__(self, module: torch.jit.ScriptModule, features: int, device: str) -> None:
        self.name = f"{device} graph"
        self._module = module
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._running = threading.Lock()
        self._captured = [self._capture(rows, features) for rows in BUCKETS]

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities; rows beyond the largest bucket run in further batches, one after the other."""
        largest = BUCKETS[-1]
        if len(x) > largest:
            return np.concatenate([self.infer(x[start : start + largest]) for start in range(0, len(x), largest)])
        captured = self._captured[bisect_left(BUCKETS, len(x))]
        with self._running, torch.inference_mode(), torch.cuda.stream(self._stream):
            captured.host_x[: len(x)] = x
            captured.x.copy_(captured.pinned_x, non_blocking=True)
            captured.graph.replay()
            captured.pinned_y.copy_(captured.y, non_blocking=True)
            self._stream.synchronize()
            return captured.host_y[: len(x)].copy()  # (N, K)

    def _capture(self, rows: int, features: int) -> _Captured:
        with torch.inference_mode():
            x = torch.zeros((rows, features), device=self._device)
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_CALLS):
                    self._module(x)
            self._stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._stream):
                y: torch.Tensor = self._module(x)
            pinned_x = torch.zeros_like(x, device="cpu").pin_memory()
            pinned_y = torch.zeros_like(y, device="cpu").pin_memory()
        return _Captured(graph, x, y, pinned_x, pinned_y, pinned_x.numpy(), pinned_y.numpy())


@dataclass(frozen=True)
class _Captured:
    """A graph, the device tensors it reads and writes, and pinned host memory with its NumPy views."""

    graph: torch.cuda.CUDAGraph
    x: torch.Tensor
    y: torch.Tensor
    pinned_x: torch.Tensor
    pinned_y: torch.Tensor
    host_x: Float32
    host_y: Float32


def graph_engine(module: torch.jit.ScriptModule, features: int, device: str) -> GraphEngine | None:
    """Return an engine that runs the module as CUDA graphs; log a warning and return None if capturing fails."""
    try:
        return GraphEngine(module, features, device)
    except RuntimeError as error:
        logger.warning("the model runs without CUDA graphs: %s", error)
        return None


def read_script(data: bytes, device: str) -> torch.jit.ScriptModule:
    """Return the frozen module of a TorchScript file, after a check of its graph.

    Raises:
        Forbidden: if the graph may do anything but compute.
        Exception: for a damaged file, torch may raise almost anything.
    """
    with warnings.catch_warnings():
        # torch 2.13 raises DeprecationWarning, 2.14 and later FutureWarning (docs/decisions.md, TorchScript)
        warnings.filterwarnings("ignore", message=r".torch\.jit\.")
        module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(data), map_location=device).eval()  # type: ignore[no-untyped-call]
        frozen: torch.jit.ScriptModule = torch.jit.freeze(module)
    graph_scan.require_harmless(frozen.graph)
    return frozen
