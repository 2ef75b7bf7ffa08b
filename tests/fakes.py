"""Models whose predictions are easy to compute by hand, published as by a training."""

from __future__ import annotations

import functools
import hashlib
import io
import warnings
from datetime import UTC, datetime

import numpy as np
import torch

from modelstore import (
    AbstainPolicy,
    Background,
    ClassReport,
    Conformal,
    Decision,
    Evaluation,
    GateReport,
    GoldenRows,
    Lineage,
    Manifest,
    ModelRepository,
    NumericFeature,
    Permit,
    Signature,
)
from modelstore.dialect import USUAL
from modelstore.onnx_file import OnnxFile

_DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class MeanModel(torch.nn.Module):
    """The probability of the last class is the mean of the features plus a shift, the rest goes to the first class."""

    def __init__(self, classes: int, shift: float) -> None:
        super().__init__()
        self.classes = classes
        self.shift = shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = torch.clamp(x.mean(dim=1) + self.shift, 0.0, 1.0)  # (N,)
        answer = torch.zeros(x.shape[0], self.classes)
        answer[:, 0] = 1.0 - high
        answer[:, self.classes - 1] = high
        return answer  # (N, K)


def script(model: torch.nn.Module) -> bytes:
    """Return the TorchScript bytes of a model."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".torch\.jit\.")
        torch.jit.save(torch.jit.script(model.eval()), buffer)
    return buffer.getvalue()


@functools.cache
def mean_script(classes: int, shift: float) -> bytes:
    """Return the TorchScript bytes of a MeanModel."""
    return script(MeanModel(classes, shift))


def manifest_for(
    model: torch.nn.Module,
    data: bytes,
    *,
    name: str = "means",
    features: tuple[str, ...] = ("left", "right"),
    classes: tuple[str, ...] = ("low", "high"),
    gate: GateReport | None = None,
    job: str | None = None,
) -> Manifest:
    """Return a manifest for the bytes of a model over features that range from 0 to 1."""
    x = np.linspace(0, 1, 32 * len(features), dtype=np.float32).reshape(32, -1)
    with torch.inference_mode():
        answers = model.eval()(torch.from_numpy(x)).numpy()
    report = ClassReport(precision=1, recall=1, f1=1, support=5)
    confusion = tuple(tuple(5 if row == column else 0 for column in range(len(classes))) for row in range(len(classes)))
    return Manifest(
        name=name,
        description="the mean of its features",
        created=datetime(2026, 11, 21, tzinfo=UTC),
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        signature=Signature.for_output("probabilities", len(classes), cells=len(features)),
        features=tuple(
            NumericFeature(name=feature, unit="cm", mean=0.5, std=0.3, min=0, max=1, quantiles=_DECILES)
            for feature in features
        ),
        classes=classes,
        golden=GoldenRows(features=_rows(x), outputs=_rows(answers)),
        metrics={
            "test": Evaluation(
                split="test",
                rows=5 * len(classes),
                accuracy=1,
                macro_f1=1,
                log_loss=0.25,
                brier=0.125,
                calibration_error=0.0625,
                confusion=confusion,
                per_class=dict.fromkeys(classes, report),
            )
        },
        gate=gate,
        lineage=Lineage(
            job=job, recipe={}, seed=0, data_sha256={}, dialects={"means.csv": USUAL}, libraries={}, code="0.1.0"
        ),
    )


def publish(
    repository: ModelRepository,
    name: str = "means",
    *,
    shift: float = 0.0,
    features: tuple[str, ...] = ("left", "right"),
    classes: tuple[str, ...] = ("low", "high"),
    activate: bool = True,
    gate: GateReport | None = None,
    job: str | None = None,
    permit: Permit | None = None,
    takes_missing: bool = True,
    decision: Decision | None = None,
    background: Background | None = None,
    onnx: bytes | None = None,
    conformal: Conformal | None = None,
    abstain: AbstainPolicy | None = None,
    receipts: bool = False,
) -> int:
    """Publish a MeanModel and return its version."""
    model = MeanModel(len(classes), shift)
    data = mean_script(len(classes), shift)
    manifest = manifest_for(model, data, name=name, features=features, classes=classes, gate=gate, job=job)
    update = {"decision": decision, "background": background, "onnx": onnx and OnnxFile.of(onnx, 18)}
    manifest = manifest.model_copy(update=update | {"conformal": conformal, "abstain": abstain, "receipts": receipts})
    if not takes_missing:
        manifest = manifest.model_copy(update={"format_version": 1})
    version = repository.publish(manifest, data, permit=permit, onnx=onnx).version
    if activate:
        repository.activate(name, version)
    return version


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
