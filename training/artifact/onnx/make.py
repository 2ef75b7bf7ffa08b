"""Make `model.onnx` of a module, and prove with onnxruntime that it answers as `model.pt`.

The extra `onnx` may be missing: then there is no file, and the report says so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from modelstore import GoldenRows, Notice
from modelstore.tensors import OUTPUTS
from training.data.columns import cells_of
from training.data.dataset import Dataset
from training.learners.protocol import Predict, Report
from training.outcome import sentence

ROWS = 1_000  # training rows that are compared, half of them with gaps and unseen texts
SHARE = 0.2  # of the cells of these that are emptied, and of the texts that become another one

Cells = npt.NDArray[np.float32]


def make_onnx(module: nn.Module, predict: Predict, golden: GoldenRows, train: Dataset, report: Report) -> bytes | None:
    """Return the bytes of `model.onnx`, or None if it cannot be made or does not answer as `model.pt`.

    `predict` is `model.pt`, loaded; the tolerance of the golden rows holds for all rows here. A notice says why there
    is no file.
    """
    try:
        from training.artifact.onnx.write import answers_of, load_runtime, to_onnx  # noqa: PLC0415

        load_runtime()
    except ImportError as error:
        report(Notice(message=f"model.onnx is not written: the extra onnx is not installed ({error.name} is missing)"))
        return None
    cells = np.array(golden.features, dtype=np.float32)  # None becomes NaN
    rows = np.concatenate([cells, some_rows(train)])
    try:
        content = to_onnx(module, OUTPUTS[train.task], train.x.shape[1], len(train.classes) or 1)
        answers = answers_of(content, rows)
    except Exception as error:  # whatever fails in a library: the version is served without the file
        report(Notice(message=f"model.onnx is not written: {sentence(error)}"))
        return None
    difference = max(_largest(answers - predict(rows)), _largest(answers[: len(golden.outputs)] - golden.outputs))
    if not difference <= golden.tolerance:
        report(
            Notice(
                message="model.onnx is not published: its answers differ from those of model.pt by up to "
                f"{difference:.2g}, and at most {golden.tolerance:.2g} is accepted"
            )
        )
        return None
    return content


def some_rows(train: Dataset) -> Cells:
    """Return at most 1,000 evenly spread training rows; every second one gets gaps and texts that are no category."""
    x = train.thin(ROWS).x
    draw = np.random.default_rng(0)
    for column, cells in zip(train.columns, cells_of(train.columns), strict=True):
        emptied, other = draw.random((2, len(x))) < SHARE
        emptied[::2] = other[::2] = False
        if column.type == "categorical":
            x[other, cells] = len(column.texts)
        x[emptied, cells] = np.nan
    return x


def _largest(differences: npt.NDArray[np.floating]) -> float:
    return float(np.abs(differences).max())
