"""Artifacts that must not serve, each wrong in one way, and one that serves and fails later."""

from __future__ import annotations

import io
import warnings

import torch

from modelstore import ModelRepository
from tests.fakes import MeanModel, manifest_for, script

POISON = 1e6


class Width(torch.nn.Module):
    """Takes three features."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.layer(x), dim=1)  # (N, 2)


class Double(MeanModel):
    """Answers in float64."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = torch.clamp(x.mean(dim=1), 0.0, 1.0).double()
        return torch.stack((1.0 - high, high), dim=1)  # (N, 2)


class NotANumber(MeanModel):
    """Answers NaN."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack((x.mean(dim=1), x.mean(dim=1)), dim=1) / 0.0 * 0.0


class Logits(MeanModel):
    """Forgot the softmax."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack((x.sum(dim=1), 3.0 - x.sum(dim=1)), dim=1)


class Tuple(MeanModel):
    """Answers a tuple."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return x, x


class ActiveDropout(MeanModel):
    """Drops features while it serves."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped = torch.nn.functional.dropout(x, p=0.5, training=True)
        high = torch.clamp(dropped.mean(dim=1), 0.0, 1.0)
        return torch.stack((1.0 - high, high), dim=1)


class Shaky(MeanModel):
    """Is right within the golden tolerance, but never gives the same answer twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        noise = torch.nn.functional.dropout(torch.ones_like(x[:, 0]), p=0.5, training=True)
        high = torch.clamp(x.mean(dim=1), 0.0, 1.0) + 2e-6 * noise
        return torch.stack((1.0 - high, high), dim=1)


class Draws(MeanModel):
    """Asks for random numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = torch.clamp(x.mean(dim=1), 0.0, 1.0) + 0.0 * torch.rand(x.shape[0])
        return torch.stack((1.0 - high, high), dim=1)


class Raises(MeanModel):
    """Fails at its first row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] > 0:
            raise RuntimeError("xqzjv at /tmp/xqzjv.py")
        return x


class RaisesLater(MeanModel):
    """Proves itself, and fails when a row's first feature is above `POISON`; the error shows the name of its buffer."""

    def __init__(self, classes: int, shift: float) -> None:
        super().__init__(classes, shift)
        self.xqzjv = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        zero = self.xqzjv.index_select(0, (x[:, 0] > 1e6).to(torch.int64))  # there is no second one
        high = torch.clamp(x.mean(dim=1), 0.0, 1.0) + zero
        return torch.stack((1.0 - high, high), dim=1)


class Dropout(torch.nn.Module):
    """Has a dropout layer, as a network in training has."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = torch.clamp(self.dropout(x).mean(dim=1), 0.0, 1.0)
        return torch.stack((1.0 - high, high), dim=1)


def saved_while_training() -> bytes:
    """Return the TorchScript bytes of a model that is still in training mode."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".torch\.jit\.")
        torch.jit.save(torch.jit.script(Dropout().train()), buffer)
    return buffer.getvalue()


def weights_only() -> bytes:
    """Return what `torch.save` writes of a state dict: a pickle, not TorchScript."""
    buffer = io.BytesIO()
    torch.save(torch.nn.Linear(2, 2).state_dict(), buffer)
    return buffer.getvalue()


def publish_as_means(
    repository: ModelRepository,
    artifact: torch.nn.Module | bytes,
    *,
    name: str = "means",
    activate: bool = True,
    strict: bool = False,
) -> int:
    """Publish an artifact under a manifest that promises the mean of two features, and return its version."""
    data = artifact if isinstance(artifact, bytes) else script(artifact)
    manifest = manifest_for(MeanModel(2, 0.0), data, name=name).model_copy(update={"strict": strict})
    version = repository.publish(manifest, data).version
    if activate:
        repository.activate(name, version)
    return version


def damage(repository: ModelRepository, version: int, name: str = "means") -> None:
    """Flip one bit in the middle of a published `model.pt`, in one write, so that no reader finds it half damaged."""
    path = repository.find(name, version).path / "model.pt"
    data = path.read_bytes()
    middle = len(data) // 2
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(bytes([data[middle] ^ 1]))
