"""The engine of ONNX Runtime, an optional library (extra `onnx`), on the CPU.

It is imported when the first version with `model.onnx` is loaded, because it starts threads, and nothing may be forked
after that. This module must not know manifests, versions or the store.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from app.runtime.verify.zip_archive import Forbidden
from app.schema import Float32
from modelstore.onnx_file import forbid_telemetry

logger = logging.getLogger(__name__)

_FATAL = 4  # the severity from which ONNX Runtime writes to standard error; its exceptions say the rest
_SETTINGS = {
    "session.load_model_format": "ONNX",  # never its own format, which nothing here has scanned
    "session.intra_op.allow_spinning": "0",
    "session.inter_op.allow_spinning": "0",
}


@functools.cache
def runtime() -> Any:
    """Return the library, or None if it is not installed, which is logged once."""
    forbid_telemetry()
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError:
        logger.info("onnxruntime is not installed (extra onnx), so versions with model.onnx are served from model.pt")
        return None
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime


class OnnxEngine:
    """Run an ONNX model in the calling thread."""

    name = "cpu onnx"

    def __init__(self, data: bytes, cells: int, outputs: int) -> None:
        """Create the session; the bytes must have passed `onnx_scan`.

        Args:
            data: the whole file.
            cells: W, the number of cells of a row.
            outputs: K, the number of outputs of a row.

        Raises:
            Forbidden: if it does not take float32 (N, W) or does not return float32 (N, K).
            Exception: for a damaged file, ONNX Runtime may raise almost anything.
        """
        library = runtime()
        options = library.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
        options.enable_cpu_mem_arena = False  # as quick, and the memory of a large batch is given back
        options.log_severity_level = _FATAL
        for name, value in _SETTINGS.items():
            options.add_session_config_entry(name, value)
        self._session = library.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        (taken,), (given,) = self._session.get_inputs(), self._session.get_outputs()
        for tensor, width in ((taken, cells), (given, outputs)):
            if tensor.type != "tensor(float)" or len(tensor.shape) != 2 or tensor.shape[1] not in (width, None):
                is_ = f"{tensor.name} is {tensor.type} {tensor.shape}"
                raise Forbidden("contract_shape", f"{is_}, not float32 of shape (N, {width})")
        self._input, self._outputs = taken.name, [given.name]

    def infer(self, x: Float32) -> Float32:
        """Return the probabilities of any number of rows."""
        (answers,) = self._session.run(self._outputs, {self._input: x})
        return answers  # type: ignore[no-any-return]
