"""Engines that run a TorchScript module: on the CPU, on an accelerator, or the quickest.

`quickest` measures which engine is quickest for each batch size. Engines must not know manifests, versions or the
store.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from app.schema import Float32

logger = logging.getLogger(__name__)

# Batch sizes to warm up, capture and measure; the largest is `dataplane.MAX_BATCH_ROWS`.
BUCKETS = (1, 2, 3, 8, 64, 256, 1024)
# The profiling executor records on the first call, compiles on the second and is stable from the third on.
WARM_UP_CALLS = 3
MEASURED_CALLS = 20


class Engine(Protocol):
    """Compute probabilities, float32 (N, K), of raw features, float32 (N, F)."""

    @property
    def name(self) -> str:
        """Return a name for people to read, such as `cpu` or `cuda:0 graph`."""
        ...

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities of any number of rows."""
        ...


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


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine for batches of up to `rows` rows, and its time for that size; None if there was only one engine."""

    rows: int
    engine: Engine
    measured_us: float | None


class QuickestEngine:
    """Run each batch on the engine measured quickest for its size; beyond the largest size, on the quickest there."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = tuple(choices)
        self.name = " / ".join(dict.fromkeys(choice.engine.name for choice in choices))
        self._bounds = [choice.rows for choice in choices]

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities of any number of rows."""
        place = min(bisect_left(self._bounds, len(x)), len(self._bounds) - 1)
        return self.choices[place].engine.infer(x)


def quickest(engines: Sequence[Engine], row: Float32) -> QuickestEngine:
    """Warm up the engines at every bucket, measure them, and return the quickest for each.

    Args:
        engines: at least one.
        row: an ordinary row, float32, shape (1, F).
    """
    batches = [np.repeat(row, rows, axis=0) for rows in BUCKETS]
    for engine in engines:
        for x in batches:
            for _ in range(WARM_UP_CALLS):
                engine.infer(x)
    if len(engines) == 1:
        return QuickestEngine([Choice(BUCKETS[-1], engines[0], None)])
    choices = []
    for rows, x in zip(BUCKETS, batches, strict=True):
        best_us, best = min(((_time_us(engine, x), engine) for engine in engines), key=lambda timed: timed[0])
        choices.append(Choice(rows, best, best_us))
    return QuickestEngine(choices)


def _time_us(engine: Engine, x: Float32) -> float:
    """Return the time of the quickest of MEASURED_CALLS calls, in microseconds."""
    best = float("inf")
    for _ in range(MEASURED_CALLS):
        started = time.perf_counter()
        engine.infer(x)
        best = min(best, time.perf_counter() - started)
    return best * 1e6


def device_is_lost(error: RuntimeError) -> bool:
    """Tell whether an error of torch means that its device is unusable for the rest of this process.

    Every CUDA error does, except lack of memory ("CUDA out of memory"). TorchScript repeats the text of CUDA errors in
    its own.
    """
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)


def graph_engine(module: torch.jit.ScriptModule, features: int, device: str) -> GraphEngine | None:
    """Return an engine that runs the module as CUDA graphs; log a warning and return None if capturing fails."""
    try:
        return GraphEngine(module, features, device)
    except RuntimeError as error:
        logger.warning("the model runs without CUDA graphs: %s", error)
        return None
