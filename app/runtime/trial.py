"""Read a version's files into engines and prove them, here or in a process that may die.

This module must not know the store, or which engine will answer.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

from app.runtime.devices import device_is_lost
from app.runtime.engines.choice import Engine
from app.runtime.engines.onnx import OnnxEngine
from app.runtime.engines.torchscript import ScriptEngine, read_script
from app.runtime.errors import DeviceLost, VersionRefused
from app.runtime.verify import onnx_scan, torchscript_scan
from app.runtime.verify.golden_rows import prove, prove_independence
from app.runtime.verify.zip_archive import Forbidden
from modelstore import Manifest
from modelstore.names import MODEL_FILE, ONNX_FILE

logger = logging.getLogger(__name__)

_LOADS = {MODEL_FILE: "torch", ONNX_FILE: "onnxruntime"}

Trial = Callable[[Manifest, int, bytes, str], None]
"""Loads a file of a version elsewhere on trial: manifest, version, the file's bytes and name; raises VersionRefused."""

Lost = Callable[[], None]
"""Callback for a lost device; called before the error is raised."""


def no_trial(_manifest: Manifest, _version: int, _model: bytes, _file: str) -> None:
    """Skip the trial, for trusted models."""


def not_told() -> None:
    """Ignore that the device is lost."""


def try_out(manifest: Manifest, version: int, model: bytes, file: str = MODEL_FILE) -> None:
    """Load a model on the CPU, verify it and discard it: the body of a trial.

    Raises:
        VersionRefused: with a reason code, if the model does not match its manifest.
    """
    if file == ONNX_FILE:
        read_onnx(manifest, version, model)
        return
    with refuse_on_error(manifest, version, "load_failed"):
        engine = ScriptEngine("cpu", read_script(model, "cpu"))
        before = engine.image()
    prove_alone_and_together([engine], manifest, version)
    with refuse_on_error(manifest, version, "run_failed"):
        changed = engine.image() != before
    if changed:
        detail = (
            "answering changed what it keeps: buffers, lists or other attributes; it must compute from its rows alone"
        )
        raise VersionRefused(manifest.name, version, "state_changed", detail)


def require_admitted(manifest: Manifest, version: int, model: bytes) -> None:
    """Scan `model.pt` before it is loaded anywhere.

    Raises:
        VersionRefused: if it may do anything but compute.
    """
    try:
        torchscript_scan.inspect(model)
    except Forbidden as error:
        raise VersionRefused(manifest.name, version, error.reason, str(error)) from error


def read_onnx(manifest: Manifest, version: int, data: bytes) -> OnnxEngine:
    """Return the engine of `model.onnx` if it answers like the manifest's golden rows.

    Raises:
        VersionRefused: with a reason code, if it does not.
    """
    with refuse_on_error(manifest, version, "load_failed", file=ONNX_FILE):
        onnx_scan.inspect(data)
        engine = OnnxEngine(data, manifest.width, len(manifest.golden.outputs[0]))
    prove_alone_and_together([engine], manifest, version)
    return engine


def prove_alone_and_together(engines: list[Engine], manifest: Manifest, version: int, lost: Lost = not_told) -> None:
    """Check each engine against the golden rows, alone and among other rows.

    Raises:
        VersionRefused: with a reason code, if one differs or fails.
        DeviceLost.
    """
    with refuse_on_error(manifest, version, "run_failed", lost):
        for engine in engines:
            prove(engine, manifest, version)
            prove_independence(engine, manifest, version)


@contextlib.contextmanager
def refuse_on_error(
    manifest: Manifest, version: int, reason: str, lost: Lost = not_told, file: str = MODEL_FILE
) -> Iterator[None]:
    """Turn every exception into VersionRefused; for a damaged file, a library may raise almost anything."""
    try:
        yield
    except VersionRefused:
        raise
    except Forbidden as error:
        raise VersionRefused(manifest.name, version, error.reason, str(error)) from error
    except Exception as error:
        require_device(error, lost)
        logger.warning("%s version %d cannot run", manifest.name, version, exc_info=error)
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise VersionRefused(
                manifest.name, version, "out_of_memory", "it needs more memory than it gets"
            ) from error
        if reason == "load_failed":
            raise VersionRefused(manifest.name, version, reason, f"{_LOADS[file]} cannot load {file}") from error
        detail = "it cannot answer rows with the features of its manifest"
        raise VersionRefused(manifest.name, version, reason, detail) from error


def require_device(error: Exception, lost: Lost) -> None:
    """Call `lost` and raise DeviceLost if an error means that the device is lost.

    Raises:
        DeviceLost.
    """
    if isinstance(error, RuntimeError) and device_is_lost(error):
        lost()
        raise DeviceLost from error
