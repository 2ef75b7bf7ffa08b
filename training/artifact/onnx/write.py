"""Turn a module into the bytes of `model.onnx`, and run these with onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from modelstore.onnx_file import forbid_telemetry
from training.artifact.onnx import blends, encoders, networks, realmlp, trees
from training.artifact.onnx.graph import INPUT, Graph
from training.artifact.onnx.writers import write

REGISTERED = (blends, encoders, networks, realmlp, trees)  # their functions extend `write`
FATAL = 4  # what onnxruntime writes to standard error; its exceptions say the rest


def load_runtime() -> Any:
    """Return the library onnxruntime, which sends no usage data.

    Raises:
        ImportError: if it is not installed.
    """
    forbid_telemetry()
    import onnxruntime  # noqa: PLC0415 - after that

    return onnxruntime


def to_onnx(module: nn.Module, output: str, cells: int, width: int) -> bytes:
    """Return the file of a module: one function from `features`, float32 (N, `cells`), to `output`, (N, `width`).

    Equal modules give equal bytes.

    Raises:
        NotWritable: if the module or a part of it is of a class that cannot be written.
        onnx.checker.ValidationError: if the graph is not what the standard says.
    """
    graph = Graph()
    return graph.to_bytes(write(module.eval(), graph.input()), output, cells, width)


def answers_of(content: bytes, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what onnxruntime computes for rows, (N, K), the first of which it also computes alone.

    Raises:
        Exception: any of onnxruntime's, if it does not take the file or fails.
    """
    onnxruntime = load_runtime()
    onnxruntime.set_default_logger_severity(FATAL)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = FATAL
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (alone,), (answers,) = (session.run(None, {INPUT: rows}) for rows in (x[:1], x))
    result: npt.NDArray[np.float32] = np.concatenate([alone, answers[1:]])
    return result
