"""Load a model version on a device and verify it.

A version serves only after these checks: size and SHA-256 of the very bytes that are loaded, a scan of the program in
them (`app/runtime/verify`), the schema (shape, dtype, finite, rows that sum to 1), and the golden rows, alone and
among other rows. A warm-up then takes TorchScript's compilation off the first request.
"""

from __future__ import annotations

import functools
import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.runtime.engines import onnx
from app.runtime.engines.choice import Engine, QuickestEngine, quickest
from app.runtime.engines.torchscript import ScriptEngine, graph_engine, read_script
from app.runtime.errors import VersionRefused
from app.runtime.trial import (
    Lost,
    Trial,
    no_trial,
    not_told,
    prove_alone_and_together,
    read_onnx,
    refuse_on_error,
    require_admitted,
    require_device,
)
from app.runtime.verify.golden_rows import prove
from app.schema import Float32, ModelSchema
from modelstore import BrokenVersion, Manifest, ModelVersion
from modelstore.names import MODEL_FILE, ONNX_FILE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnusedFile:
    """A file of a version that no engine uses, because it failed its checks.

    Attributes:
        reason: stable code, such as `golden_mismatch`.
        detail: one sentence for people to read.
    """

    file: str
    reason: str
    detail: str

    def __str__(self) -> str:
        """Return the whole in one sentence."""
        return f"{self.file} is not used ({self.reason}): {self.detail}; model.pt answers"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A version that is loaded on a device and passed verification; `unused` is `model.onnx` if it failed its own."""

    manifest: Manifest
    schema: ModelSchema
    device: str
    load_s: float
    engine: QuickestEngine
    lost: Lost = not_told
    unused: UnusedFile | None = None

    @functools.cached_property
    def background(self) -> tuple[Float32, NDArray[np.float64]] | None:
        """Return the rows that explanations compare with, (B, W), and their weights of sum 1, (B,), if there are."""
        found = self.manifest.background
        if found is None:
            return None
        weights = np.array(found.weights, dtype=np.float64)
        return np.array(found.rows, dtype=np.float32), weights / weights.sum()

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
            require_device(error, self.lost)
            raise


def load(
    found: ModelVersion,
    device: str,
    trial: Trial = no_trial,
    lost: Lost = not_told,
    *,
    use_onnx: bool = True,
    engine: str | None = None,
) -> LoadedModel:
    """Load a published version and verify it.

    Args:
        found: the version.
        device: the device to run it on.
        trial: loads it first where a crash does no harm.
        lost: called if the device is lost, during loading or later.
        use_onnx: whether `model.onnx` may answer where it is quicker, if the version has it.
        engine: name of the one engine that may answer, such as `cpu`; None for the quickest.

    Raises:
        VersionRefused: with a reason code, if the version does not match its manifest, or lacks that engine.
        DeviceLost.
    """
    started = time.perf_counter()
    try:
        manifest = found.manifest()
        data, onnx_data = found.model_bytes(manifest), found.onnx_bytes(manifest)
    except BrokenVersion as error:
        raise VersionRefused(found.name, found.version, error.reason, error.detail) from error
    require_admitted(manifest, found.version, data)
    trial(manifest, found.version, data, MODEL_FILE)
    with refuse_on_error(manifest, found.version, "load_failed", lost):
        groups = _engines(data, manifest.width, device)
    prove_alone_and_together([engine for group in groups for engine in group], manifest, found.version, lost)
    unused = None
    if use_onnx and onnx_data is not None and groups[0][0].name == "cpu" and onnx.runtime():
        unused = _add_onnx(groups[0], manifest, found.version, onnx_data, trial)
    if engine is not None:
        groups = [named for group in groups if (named := [each for each in group if each.name == engine])]
        if not groups:
            raise VersionRefused(found.name, found.version, "engine_missing", f"the engine {engine!r} is not here")
    with refuse_on_error(manifest, found.version, "run_failed", lost):
        best = quickest(groups, np.array(manifest.golden.features[:1], dtype=np.float32))
    schema = ModelSchema.of(manifest, found.version)
    return LoadedModel(manifest, schema, device, time.perf_counter() - started, best, lost, unused)


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
        require_device(error, loaded.lost)
        raise


def _engines(data: bytes, cells: int, device: str) -> list[list[Engine]]:
    """Return the candidate engines in groups, those of the CPU first.

    On a CUDA device there are also CUDA graphs and the CPU, which is quicker for few rows.
    """
    here = ScriptEngine(device, read_script(data, device))
    if not device.startswith("cuda"):
        return [[here]]
    near, graphs = ScriptEngine("cpu", read_script(data, "cpu")), graph_engine(here.module, cells, device)
    return [[near], [graphs], [here]] if graphs else [[near], [here]]


def _add_onnx(engines: list[Engine], manifest: Manifest, version: int, data: bytes, trial: Trial) -> UnusedFile | None:
    """Add the engine of `model.onnx`; if it fails a check, the version serves without, and the reason is returned."""
    try:
        trial(manifest, version, data, ONNX_FILE)
        engines.append(read_onnx(manifest, version, data))
    except VersionRefused as error:
        unused = UnusedFile(ONNX_FILE, error.reason, error.detail)
        logger.warning("%s version %d: %s", manifest.name, version, unused)
        return unused
    return None
