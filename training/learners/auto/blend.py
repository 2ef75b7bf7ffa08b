"""Modules made of other modules: a weighted mean of answers, and a temperature.

They must not know learners. N is rows and K outputs everywhere.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LEAST = 2.0**-23  # a smaller probability counts as this one: the precision of float32, as in the log loss


class Blend(nn.Module):
    """The weighted mean of the answers of modules, which share nothing but their input.

    Attributes:
        weights: share of each module, float32 (M,), sum 1.
    """

    weights: Tensor

    def __init__(self, modules: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, K) or values (N, 1) of cells, float32 (N, W)."""
        answers: list[Tensor] = []
        for part in self.parts:
            answers.append(part(x))
        return torch.matmul(torch.stack(answers, dim=2), self.weights)  # (N, K)


class Tempered(nn.Module):
    """A classifier whose logits are divided by a temperature.

    Attributes:
        inverse: one divided by the temperature, float32 ().
    """

    inverse: Tensor

    def __init__(self, classifier: nn.Module, inverse: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("inverse", torch.tensor(inverse, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities, float32 (N, K), of cells, float32 (N, W)."""
        return temper(self.classifier(x), self.inverse)


def temper(probabilities: Tensor, inverse: Tensor, least: float = LEAST) -> Tensor:
    """Return probabilities (N, K) whose logits are multiplied by `inverse`; those below `least` count as it.

    Source: Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
    """
    return torch.softmax(torch.log(probabilities.clamp(min=least)) * inverse, dim=1)
