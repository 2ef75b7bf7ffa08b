"""Loads a version and makes it prove itself on a device; with `app/engines.py` the only file of `app` that knows torch.

A version serves only after: size and sha256 of the very bytes that are loaded, a look at the program in them
(`app/admission.py`), the contract (shape, dtype, finite, rows that sum to 1), the golden rows, and a warm-up that takes
TorchScript's compilation off the first request.
"""

from __future__ import annotations

import io
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from app import admission
from app.contract import Contract, Float32
from app.engines import Engine, QuickestEngine, ScriptEngine, graph_engine, quickest
from app.errors import ConfigurationError, VersionRefused
from modelstore import BrokenVersion, Manifest, ModelVersion

logger = logging.getLogger(__name__)

SUM_TOLERANCE = 1e-5


def choose_device(wanted: str) -> str:
    """Return the device to run on: the wanted one, or for `auto` the best of cuda, mps, cpu.

    Raises:
        ConfigurationError: if the wanted device is not there.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if wanted == "auto":
        return available[0]
    if wanted not in available:
        raise ConfigurationError(
            f"TABSERVE_DEVICE={wanted} is not available here; choose auto or {', '.join(available)}"
        )
    return wanted


def describe_device(device: str) -> str:
    """Return the device with the name of its hardware, for people."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device


def use_one_thread() -> None:
    """Keep torch to one thread in this process: for small models, more threads only wait for each other."""
    torch.set_num_threads(1)


def use_full_float32() -> None:
    """Keep TF32 off, which has 10 bits of mantissa: a GPU's answers must be those of the CPU but for rounding."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version that proved itself on a device."""

    manifest: Manifest
    contract: Contract
    device: str
    load_s: float
    engine: QuickestEngine

    def infer(self, x: Float32) -> Float32:
        """Return class probabilities.

        Args:
            x: raw features, float32, shape (N, F), finite, N >= 1.

        Returns:
            Probabilities, float32, shape (N, K); each row sums to 1 within 1e-5. Not finite where a value is so far
            from the training range that float32 overflows.
        """
        return self.engine.infer(x)


Trial = Callable[[Manifest, int, bytes], None]
"""Loads a model somewhere else first; raises VersionRefused."""


def no_trial(_manifest: Manifest, _version: int, _model: bytes) -> None:
    """Try nothing: what is loaded is trusted."""


def load(found: ModelVersion, device: str, trial: Trial = no_trial) -> LoadedModel:
    """Load a published version and make it prove itself.

    Args:
        found: the version.
        device: where it is to run.
        trial: loads it first where a crash hurts nobody.

    Raises:
        VersionRefused: with a reason code, if anything about it is not as its manifest promises.
    """
    started = time.perf_counter()
    try:
        manifest = found.manifest()
        data = found.model_bytes(manifest)
        admission.inspect(data)
    except BrokenVersion as error:
        raise VersionRefused(found.name, found.version, error.reason, error.detail) from error
    except admission.Forbidden as error:
        raise VersionRefused(found.name, found.version, error.reason, str(error)) from error
    trial(manifest, found.version, data)
    try:
        candidates = _engines(data, len(manifest.features), device)
        for engine in candidates:
            _prove(engine, manifest, found.version)
        engine = quickest(candidates, np.array(manifest.golden.features[:1], dtype=np.float32))
    except VersionRefused:
        raise
    except Exception as error:  # torch raises nearly anything for a damaged file, torch.jit.Error and IndexError too
        logger.warning("%s version %d cannot run", found.name, found.version, exc_info=error)
        raise VersionRefused(found.name, found.version, "load_failed", "model.pt cannot be run here") from error
    return LoadedModel(manifest, Contract.of(manifest, found.version), device, time.perf_counter() - started, engine)


def try_out(manifest: Manifest, version: int, model: bytes) -> None:
    """Load a model on the CPU, make it prove itself, and forget it: what a trial does.

    Raises:
        VersionRefused: likewise.
    """
    try:
        for engine in _engines(model, len(manifest.features), "cpu"):
            _prove(engine, manifest, version)
    except VersionRefused:
        raise
    except Exception as error:
        raise VersionRefused(manifest.name, version, "load_failed", "model.pt cannot be run here") from error


def _engines(data: bytes, features: int, device: str) -> list[Engine]:
    """Return the engines to choose from: on a CUDA device also its graphs, and the CPU, quicker for few rows."""
    here = ScriptEngine(device, _script(data, device))
    if not device.startswith("cuda"):
        return [here]
    graphs = graph_engine(here.module, features, device)
    return [ScriptEngine("cpu", _script(data, "cpu")), *([graphs] if graphs else []), here]


def _script(data: bytes, device: str) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        # 2.13 says DeprecationWarning, 2.14 and later FutureWarning (docs/decisions.md, TorchScript)
        warnings.filterwarnings("ignore", message=r".torch\.jit\.")
        module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(data), map_location=device).eval()  # type: ignore[no-untyped-call]
        frozen: torch.jit.ScriptModule = torch.jit.freeze(module)
        return frozen


def _prove(engine: Engine, manifest: Manifest, version: int) -> None:
    """Hold an engine to the manifest's golden rows.

    Raises:
        VersionRefused: if its answers are not probabilities, not those of training, or not always the same.
    """
    x = np.array(manifest.golden.features, dtype=np.float32)  # (G, F)
    expected = np.array(manifest.golden.probabilities, dtype=np.float64)  # (G, K)
    got = engine.infer(x)
    if got.dtype != np.float32 or got.shape != expected.shape:
        detail = f"answers {got.dtype} of shape {got.shape}, not float32 of shape {expected.shape}"
        raise VersionRefused(manifest.name, version, "contract", detail)
    if not np.isfinite(got).all() or np.abs(got.sum(axis=1, dtype=np.float64) - 1).max() > SUM_TOLERANCE:
        raise VersionRefused(manifest.name, version, "contract", "its answers are not probabilities that sum to 1")
    difference = float(np.abs(got - expected).max())
    if difference > manifest.golden.tolerance:
        detail = f"golden rows differ by {difference:.2g}, allowed is {manifest.golden.tolerance:.2g}"
        raise VersionRefused(manifest.name, version, "golden_mismatch", detail)
    if not np.array_equal(got, engine.infer(x)):
        raise VersionRefused(manifest.name, version, "not_deterministic", "two equal calls gave different answers")
