"""Load a model version on a device and verify it.

A version serves only after these checks: size and SHA-256 of the very bytes that are loaded, a scan of the program in
them (`app/runtime/verify`), the schema (shape, dtype, finite, rows that sum to 1), and the golden rows, alone and
among other rows. A warm-up then takes TorchScript's compilation off the first request.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from app.errors import ConfigurationError
from app.runtime.backends import Engine, QuickestEngine, ScriptEngine, device_is_lost, graph_engine, quickest
from app.runtime.errors import DeviceLost, VersionRefused
from app.runtime.verify import graph_scan, torchscript_scan
from app.runtime.verify.golden_rows import prove, prove_independence
from app.runtime.verify.zip_archive import Forbidden
from app.schema import Float32, ModelSchema
from modelstore import BrokenVersion, Manifest, ModelVersion

logger = logging.getLogger(__name__)

_WHY = {
    "load_failed": "torch cannot load model.pt",
    "run_failed": "it cannot answer rows with the features of its manifest",
}


def choose_device(wanted: str) -> str:
    """Return the device to run on: the requested one, or for `auto` the best of cuda, mps and cpu.

    Raises:
        ConfigurationError: if the requested device is not available.
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
    """Return the device with the name of its hardware, for people to read."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else device


def use_one_thread() -> None:
    """Limit torch to one thread in this process: with small models, more threads only wait for each other."""
    torch.set_num_threads(1)


def use_full_float32() -> None:
    """Disable TF32, whose mantissa has 10 bits: answers of a GPU may differ from the CPU's by rounding only."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


Lost = Callable[[], None]
"""Callback for a lost device; called before the error is raised."""


def _nobody_told() -> None:
    pass


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version that is loaded on a device and passed verification."""

    manifest: Manifest
    schema: ModelSchema
    device: str
    load_s: float
    engine: QuickestEngine
    lost: Lost = _nobody_told

    def infer(self, x: Float32) -> Float32:
        """Return class probabilities, or values of a quantity.

        Args:
            x: cells, float32, shape (N, W), N >= 1.

        Returns:
            Outputs, float32, shape (N, K); each row of probabilities sums to 1 within 1e-5. A row is not finite if a
            value is so far from the training range that float32 overflows.

        Raises:
            DeviceLost: as will every later call.
        """
        try:
            return self.engine.infer(x)
        except RuntimeError as error:
            _require_device(error, self.lost)
            raise


Trial = Callable[[Manifest, int, bytes], None]
"""Loads a model elsewhere on trial; raises VersionRefused."""


def no_trial(_manifest: Manifest, _version: int, _model: bytes) -> None:
    """Skip the trial, for trusted models."""


def load(found: ModelVersion, device: str, trial: Trial = no_trial, lost: Lost = _nobody_told) -> LoadedModel:
    """Load a published version and verify it.

    Args:
        found: the version.
        device: the device to run it on.
        trial: loads it first where a crash does no harm.
        lost: called if the device is lost, during loading or later.

    Raises:
        VersionRefused: with a reason code, if the version does not match its manifest.
        DeviceLost.
    """
    started = time.perf_counter()
    try:
        manifest = found.manifest()
        data = found.model_bytes(manifest)
        torchscript_scan.inspect(data)
    except BrokenVersion as error:
        raise VersionRefused(found.name, found.version, error.reason, error.detail) from error
    except Forbidden as error:
        raise VersionRefused(found.name, found.version, error.reason, str(error)) from error
    trial(manifest, found.version, data)
    with _refuse_on_error(manifest, found.version, "load_failed", lost):
        candidates = _engines(data, manifest.width, device)
    with _refuse_on_error(manifest, found.version, "run_failed", lost):
        for engine in candidates:
            prove(engine, manifest, found.version)
            prove_independence(engine, manifest, found.version)
        best = quickest(candidates, np.array(manifest.golden.features[:1], dtype=np.float32))
    schema = ModelSchema.of(manifest, found.version)
    return LoadedModel(manifest, schema, device, time.perf_counter() - started, best, lost)


def try_out(manifest: Manifest, version: int, model: bytes) -> None:
    """Load a model on the CPU, verify it and discard it: the body of a trial.

    Raises:
        VersionRefused: with a reason code, if the model does not match its manifest.
    """
    with _refuse_on_error(manifest, version, "load_failed"):
        engine = ScriptEngine("cpu", _script(model, "cpu"))
        before = engine.image()
    with _refuse_on_error(manifest, version, "run_failed"):
        prove(engine, manifest, version)
        prove_independence(engine, manifest, version)
        changed = engine.image() != before
    if changed:
        detail = (
            "answering changed what it keeps: buffers, lists or other attributes; it must compute from its rows alone"
        )
        raise VersionRefused(manifest.name, version, "state_changed", detail)


@contextlib.contextmanager
def _refuse_on_error(manifest: Manifest, version: int, reason: str, lost: Lost = _nobody_told) -> Iterator[None]:
    """Turn every exception into VersionRefused; for a damaged file, torch may raise almost anything."""
    try:
        yield
    except VersionRefused:
        raise
    except Forbidden as error:
        raise VersionRefused(manifest.name, version, error.reason, str(error)) from error
    except Exception as error:
        _require_device(error, lost)
        logger.warning("%s version %d cannot run", manifest.name, version, exc_info=error)
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise VersionRefused(
                manifest.name, version, "out_of_memory", "it needs more memory than it gets"
            ) from error
        raise VersionRefused(manifest.name, version, reason, _WHY[reason]) from error


def prove_again(loaded: LoadedModel) -> None:
    """Check a loaded version against its golden rows again, with each of its engines; callable from any thread.

    Raises:
        VersionRefused: if its answers differ from the golden rows.
        DeviceLost.
    """
    try:
        for engine in dict.fromkeys(choice.engine for choice in loaded.engine.choices):
            prove(engine, loaded.manifest, loaded.schema.version)
    except RuntimeError as error:
        _require_device(error, loaded.lost)
        raise


def _require_device(error: Exception, lost: Lost) -> None:
    """Call `lost` and raise DeviceLost if an error means that the device is lost.

    Raises:
        DeviceLost.
    """
    if isinstance(error, RuntimeError) and device_is_lost(error):
        lost()
        raise DeviceLost from error


def _engines(data: bytes, cells: int, device: str) -> list[Engine]:
    """Return the candidate engines; on a CUDA device also CUDA graphs and the CPU, which is quicker for few rows."""
    here = ScriptEngine(device, _script(data, device))
    if not device.startswith("cuda"):
        return [here]
    graphs = graph_engine(here.module, cells, device)
    return [ScriptEngine("cpu", _script(data, "cpu")), *([graphs] if graphs else []), here]


def _script(data: bytes, device: str) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        # torch 2.13 raises DeprecationWarning, 2.14 and later FutureWarning (docs/decisions.md, TorchScript)
        warnings.filterwarnings("ignore", message=r".torch\.jit\.")
        module: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(data), map_location=device).eval()  # type: ignore[no-untyped-call]
        frozen: torch.jit.ScriptModule = torch.jit.freeze(module)
    graph_scan.require_harmless(frozen.graph)
    return frozen
