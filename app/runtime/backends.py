"""Ways to run a loaded TorchScript module on rows: on the CPU, on an accelerator, or whichever is quicker for so many.

It must not know manifests, versions or the store.
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

# Batch sizes that are warmed up, captured and measured; the largest is `dataplane.MAX_BATCH_ROWS`.
BUCKETS = (1, 2, 3, 8, 64, 256, 1024)
# The profiling executor records on the first call, compiles on the second and is steady from the third.
WARM_UP_CALLS = 3
MEASURED_CALLS = 20


class Engine(Protocol):
    """Computes probabilities, float32 (N, K), of raw features, float32 (N, F)."""

    @property
    def name(self) -> str:
        """Return what it is, for people: `cpu`, `cuda:0 graph`."""
        ...

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities of any number of rows."""
        ...


@dataclass(frozen=True)
class ScriptEngine:
    """The module as it is, on a device."""

    name: str
    module: torch.jit.ScriptModule

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities."""
        with torch.inference_mode():
            probabilities: torch.Tensor = self.module.forward(torch.from_numpy(x).to(self.name))
            return probabilities.cpu().numpy()  # (N, K)

    def image(self) -> bytes:
        """Return a digest of all that the module keeps: parameters, buffers, lists, constants of its program."""
        return hashlib.sha256(self.module.save_to_buffer()).digest()


class GraphEngine:
    """The module captured as CUDA graphs, one for each bucket, fed from pinned memory on a stream of its own.

    A graph replays all kernels with one launch, which for a small network is most of the time. A batch runs in the
    smallest bucket that holds it; the rows that are left over compute what nobody reads. One thread at a time: what
    the graph reads and writes is there once.
    """

    def __init__(self, module: torch.jit.ScriptModule, features: int, device: str) -> None:
        self.name = f"{device} graph"
        self._module = module
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._running = threading.Lock()
        self._captured = [self._capture(rows, features) for rows in BUCKETS]

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities; more rows than the largest bucket run one after the other."""
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
    """A graph, the device tensors it reads and writes, and pinned host memory, also as NumPy sees it."""

    graph: torch.cuda.CUDAGraph
    x: torch.Tensor
    y: torch.Tensor
    pinned_x: torch.Tensor
    pinned_y: torch.Tensor
    host_x: Float32
    host_y: Float32


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine for batches of up to `rows` rows, and what a batch of that size took; None if there was no choice."""

    rows: int
    engine: Engine
    measured_us: float | None


class QuickestEngine:
    """For each batch size the engine that was measured to be quickest; beyond the largest, the one quickest there."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = tuple(choices)
        self.name = " / ".join(dict.fromkeys(choice.engine.name for choice in choices))
        self._bounds = [choice.rows for choice in choices]

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities."""
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
    """Return the time of the quickest of some calls, in microseconds."""
    best = float("inf")
    for _ in range(MEASURED_CALLS):
        started = time.perf_counter()
        engine.infer(x)
        best = min(best, time.perf_counter() - started)
    return best * 1e6


def device_is_lost(error: RuntimeError) -> bool:
    """Tell whether an error of torch means that its device will not work again in this process.

    Those of CUDA do, but for a lack of memory ("CUDA out of memory"); TorchScript repeats their text in its own.
    """
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)


def graph_engine(module: torch.jit.ScriptModule, features: int, device: str) -> GraphEngine | None:
    """Return the module as CUDA graphs; None, and a line in the log, where it cannot be captured."""
    try:
        return GraphEngine(module, features, device)
    except RuntimeError as error:
        logger.warning("the model runs without CUDA graphs: %s", error)
        return None
